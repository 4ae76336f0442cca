;; A plugin by hand, in WebAssembly's text form: NTP's client and server mode, RFC 5905, section 7.3. A datagram of 48 bytes
;; or more each way; the reply's origin timestamp repeats the request's transmit timestamp, and pairs with it.
;;
;;   0  leap (2 bits), version (3), mode (3)      12  reference id     24  origin timestamp     40  transmit timestamp
;;   1  stratum                                   16  reference time   32  receive timestamp    48  extensions
;;
;; Memory:   1024 result   1088 message   1280 attribute   1296 version's digit   1536 texts   65536 input (32 KiB)
;; Deliberately missing: other modes are told by their header alone. There is no state, so a loss costs nothing.
(module
  (@custom "protap.manifest" "{\"contract\":\"$CONTRACT\",\"name\":\"ntp\",\"version\":\"1\",\"transports\":[\"udp\"],\"ports\":[123],\"window\":1024,\"attributes\":[{\"name\":\"ntp.stratum\",\"type\":\"i64\"}],\"decodes\":[\"NTP 1 to 4: client and server mode; of other modes the header\"]}")
  (memory (export "memory") 2)
  (global $handle (mut i32) (i32.const 0))
  (data (i32.const 1536) "client")
  (data (i32.const 1552) "server")
  (data (i32.const 1568) "other mode")
  (data (i32.const 1584) "neither client nor server mode")
  (data (i32.const 1616) "too short for NTP")
  (data (i32.const 1648) "UNSYNCHRONIZED")

  (func (export "protap_input") (param $len i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get $len) (i32.const 32768))))

  ;; It has no options: the first one is refused.
  (func (export "protap_configure") (param $len i32) (result i32)
    (i32.ne (local.get $len) (i32.const 0)))

  ;; The mode of a head, 0 if it is no NTP: too short, of version 0 or above 4, with a stratum above 16.
  (func $mode (param $at i32) (param $len i32) (result i32)
    (local $version i32)
    (if (i32.lt_u (local.get $len) (i32.const 48)) (then (return (i32.const 0))))
    (local.set $version (i32.and (i32.shr_u (i32.load8_u (local.get $at)) (i32.const 3)) (i32.const 7)))
    (if (i32.gt_u (i32.sub (local.get $version) (i32.const 1)) (i32.const 3)) (then (return (i32.const 0))))
    (if (i32.gt_u (i32.load8_u offset=1 (local.get $at)) (i32.const 16)) (then (return (i32.const 0))))
    (i32.and (i32.load8_u (local.get $at)) (i32.const 7)))

  ;; Certain if one end asks and the other repeats its timestamp, likely if there is only a question, of stratum 0 and
  ;; with a transmit timestamp, which random bytes seldom have.
  (func (export "protap_probe")
    (param $len_a i32) (param $len_b i32) (param $flags i32) (param $ports i32) (result i64)
    (local $a i32) (local $b i32) (local $at_b i32)
    (if (i32.eqz (i32.and (local.get $flags) (i32.const 2))) (then (return (i64.const 0))))
    (local.set $at_b (i32.add (i32.const 65536) (local.get $len_a)))
    (local.set $a (call $mode (i32.const 65536) (local.get $len_a)))
    (local.set $b (call $mode (local.get $at_b) (local.get $len_b)))
    (if (i32.and (i32.eq (local.get $a) (i32.const 3)) (i32.eq (local.get $b) (i32.const 4)))
      (then (if (i64.eq (i64.load offset=40 (i32.const 65536)) (i64.load offset=24 (local.get $at_b)))
        (then (return (i64.const 0x103))))))
    (if (i32.and (i32.eq (local.get $a) (i32.const 4)) (i32.eq (local.get $b) (i32.const 3)))
      (then (if (i64.eq (i64.load offset=24 (i32.const 65536)) (i64.load offset=40 (local.get $at_b)))
        (then (return (i64.const 0x203))))))
    (if (i32.and (i32.eq (local.get $a) (i32.const 3)) (i32.eqz (local.get $len_b)))
      (then (if (i64.ne (i64.load offset=40 (i32.const 65536)) (i64.const 0))
        (then (return (i64.const 0x102))))))
    (i64.const 0))

  ;; Flows have no state; their handles only differ.
  (func (export "protap_open") (param $flags i32) (param $ports i32) (result i32)
    (global.set $handle (i32.add (global.get $handle) (i32.const 1)))
    (if (i32.eqz (global.get $handle)) (then (global.set $handle (i32.const 1))))
    (global.get $handle))
  (func (export "protap_close") (param $handle i32))

  (func $be32 (param $at i32) (result i64)
    (i64.extend_i32_u (i32.or
      (i32.or
        (i32.shl (i32.load8_u (local.get $at)) (i32.const 24))
        (i32.shl (i32.load8_u offset=1 (local.get $at)) (i32.const 16)))
      (i32.or
        (i32.shl (i32.load8_u offset=2 (local.get $at)) (i32.const 8))
        (i32.load8_u offset=3 (local.get $at))))))
  (func $be64 (param $at i32) (result i64)
    (i64.or (i64.shl (call $be32 (local.get $at)) (i64.const 32)) (call $be32 (i32.add (local.get $at) (i32.const 4)))))

  ;; Writes a string's address and length.
  (func $text (param $field i32) (param $at i32) (param $len i32)
    (i32.store (local.get $field) (local.get $at))
    (i32.store offset=4 (local.get $field) (local.get $len)))

  (func $answer (param $verb i32) (param $consumed i32) (result i32)
    (i32.store (i32.const 1024) (local.get $verb))
    (i32.store (i32.const 1028) (local.get $consumed))
    (i32.const 1024))

  (func (export "protap_parse")
    (param $handle i32) (param $flags i32) (param $offset i64) (param $len i32) (param $gap i64) (result i32)
    (local $mode i32) (local $stratum i32)
    ;; An answer without messages, and a message of zeros: 1024 to 1296.
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 272))
    (i32.store (i32.const 1040) (i32.const 1088)) ;; messages
    (i32.store (i32.const 1048) (i32.const 144)) ;; message_stride
    (i32.store (i32.const 1060) (i32.const 24)) ;; fact_stride
    ;; The end of the flow.
    (if (i32.eqz (local.get $len)) (then (return (call $answer (i32.const 0) (i32.const 0)))))
    (local.set $mode (call $mode (i32.const 65536) (local.get $len)))
    (if (i32.eqz (local.get $mode)) (then
      (call $text (i32.const 1064) (i32.const 1616) (i32.const 17)) ;; reason
      (return (call $answer (i32.const 6) (local.get $len)))))
    (i32.store (i32.const 1044) (i32.const 1)) ;; message_count
    (i64.store offset=0 (i32.const 1088) (local.get $offset)) ;; start
    (i64.store offset=8 (i32.const 1088) ;; end: what the capture cut off belongs to the datagram
      (i64.add (i64.add (local.get $offset) (i64.extend_i32_u (local.get $len)))
        (select (local.get $gap) (i64.const 0) (i32.and (local.get $flags) (i32.const 8)))))
    (i32.store8 (i32.const 1296) ;; the version as a digit
      (i32.add (i32.const 48) (i32.and (i32.shr_u (i32.load8_u (i32.const 65536)) (i32.const 3)) (i32.const 7))))
    (call $text (i32.const 1152) (i32.const 1296) (i32.const 1)) ;; version
    (local.set $stratum (i32.load8_u (i32.const 65537)))
    (if (i32.eq (local.get $mode) (i32.const 3)) (then
      (i32.store offset=40 (i32.const 1088) (i32.const 1)) ;; flags: HAS_ID
      (i64.store offset=16 (i32.const 1088) (call $be64 (i32.const 65576))) ;; id
      (call $text (i32.const 1144) (i32.const 1536) (i32.const 6)) ;; type_name
      (return (call $answer (i32.const 0) (local.get $len)))))
    (if (i32.eq (local.get $mode) (i32.const 4)) (then
      (i32.store offset=40 (i32.const 1088) (i32.const 1))
      (i64.store offset=16 (i32.const 1088) (call $be64 (i32.const 65560)))
      (i32.store8 offset=48 (i32.const 1088) (i32.const 1)) ;; kind: RESPONSE
      (i32.store8 offset=49 (i32.const 1088) (i32.const 1)) ;; status: OK
      (call $text (i32.const 1144) (i32.const 1552) (i32.const 6))
      ;; Stratum 0: a kiss-o'-death, whose reference id says why in four letters (section 7.4).
      (if (i32.eqz (local.get $stratum)) (then
        (i32.store8 offset=49 (i32.const 1088) (i32.const 3)) ;; SERVER_ERROR
        (call $text (i32.const 1184) (i32.const 65548) (i32.const 4)))) ;; exception, out of the input
      ;; Leap indicator 3 or stratum 16: the server does not know the time.
      (if (i32.and (i32.ne (local.get $stratum) (i32.const 0)) (i32.or
          (i32.eq (i32.shr_u (i32.load8_u (i32.const 65536)) (i32.const 6)) (i32.const 3))
          (i32.eq (local.get $stratum) (i32.const 16)))) (then
        (i32.store8 offset=49 (i32.const 1088) (i32.const 3))
        (call $text (i32.const 1184) (i32.const 1648) (i32.const 14))))
      (call $text (i32.const 1216) (i32.const 1280) (i32.const 1)) ;; attributes
      (i32.store offset=136 (i32.const 1088) (i32.const 16)) ;; attribute_stride
      (i32.store8 (i32.const 1282) (i32.const 1)) ;; tag: I64
      (i64.store (i32.const 1288) (i64.extend_i32_u (local.get $stratum)))
      (return (call $answer (i32.const 0) (local.get $len)))))
    (i32.store8 offset=48 (i32.const 1088) (i32.const 2)) ;; kind: ONE_WAY
    (i32.store8 offset=50 (i32.const 1088) (i32.const 2)) ;; completeness: HEADER
    (call $text (i32.const 1144) (i32.const 1568) (i32.const 10))
    (call $text (i32.const 1200) (i32.const 1584) (i32.const 30)) ;; reason
    (call $answer (i32.const 0) (local.get $len)))

  ;; Datagrams need no resync, but the function must be there: no frame starts in the window.
  (func (export "protap_resync")
    (param $handle i32) (param $flags i32) (param $offset i64) (param $len i32) (result i32)
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
    (i32.store (i32.const 1048) (i32.const 144))
    (i32.store (i32.const 1060) (i32.const 24))
    (call $answer (i32.const 0) (local.get $len))))
