/* The contract between protap and its plugins, for C11. Generated from the contract's one definition; CONTRACT.md says what
 * it all means. A plugin defines every function that is declared here as an export, and names its manifest once:
 *
 *     PROTAP_MANIFEST({"contract": PROTAP_CONTRACT, "name": "mine", "version": "1"})
 *
 * clang --target=wasm32 -ffreestanding -nostdlib -O2 -c mine.c && wasm-ld --no-entry --stack-first mine.o -o mine.wasm
 */
#ifndef PROTAP_PLUGIN_H
#define PROTAP_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__wasm__)
#define PROTAP_EXPORT(name) __attribute__((export_name(name)))
#define PROTAP_IMPORT(name) __attribute__((import_module(PROTAP_IMPORT_MODULE), import_name(name)))
#else /* to be checked or tested natively */
#define PROTAP_EXPORT(name)
#define PROTAP_IMPORT(name)
#endif

/* The manifest, JSON as it is: the preprocessor puts it into its custom section. (Data that C puts into a section of that
 * name become data of the module, so the assembler is asked.) */
#if defined(__wasm__)
#define PROTAP_MANIFEST(...) PROTAP_MANIFEST_1(__VA_ARGS__)
#define PROTAP_MANIFEST_1(...) PROTAP_MANIFEST_2(#__VA_ARGS__)
#define PROTAP_MANIFEST_2(json) \
    __asm__(".section .custom_section." PROTAP_MANIFEST_SECTION ",\"\",@\n.ascii " #json "\n");
#else
#define PROTAP_MANIFEST(...)
#endif

#define PROTAP_CONTRACT "1.0"
#define PROTAP_IMPORT_MODULE "protap"
#define PROTAP_MANIFEST_SECTION "protap.manifest"

/* Limits. */
#define PROTAP_DEFAULT_WINDOW 16384
#define PROTAP_MAX_WINDOW 1048576
#define PROTAP_MAX_CONTEXT 64
#define PROTAP_MAX_MESSAGES 1024
#define PROTAP_MAX_FACTS 1024
#define PROTAP_MAX_ATTRIBUTES 256
#define PROTAP_MAX_LIST 256
#define PROTAP_MAX_STR 65536
#define PROTAP_MAX_ANSWER 1048576

/* Values of the flags argument of the calls. */
/* parse, resync: the bytes go from server to client (else from client to server). */
#define PROTAP_FLAG_TO_CLIENT 1
/* The flow is UDP: the window is one whole datagram. */
#define PROTAP_FLAG_DATAGRAM 2
/* parse, resync: nothing follows the window, the stream has ended. */
#define PROTAP_FLAG_END 4
/* parse: the gap bytes after the window are missing for good; behind them the stream (though not the
 * datagram) goes on. */
#define PROTAP_FLAG_GAP 8
/* resync: the window begins where the sender began to speak after its peer had been heard out, which is
 * most likely where a frame starts. */
#define PROTAP_FLAG_TURNAROUND 16
/* resync: the window begins where the last candidate said that its next frame would begin. */
#define PROTAP_FLAG_EXPECTED 32
/* probe: A's first packet was seen to open the connection (SYN), so A is the client of the transport. */
#define PROTAP_FLAG_A_OPENED 64
/* probe: head A begins in the middle of its stream. */
#define PROTAP_FLAG_A_MID_STREAM 128
/* probe: head B begins in the middle of its stream. */
#define PROTAP_FLAG_B_MID_STREAM 256
/* probe: no more will come than these heads. */
#define PROTAP_FLAG_HEADS_COMPLETE 512
/* resync, beside EXPECTED: an earlier version of the plugin has read up to the window and was between two
 * messages, so a frame does begin there; what it knew of the stream is gone. */
#define PROTAP_FLAG_BOUNDARY 1024

/* What a probe answers: bits 0..8 of its result are one of these, bits 8..16 one of the CLIENT_ constants,
 * bits 32..64 the number of bytes (of either head) wanted by probe.MORE. */
/* Not this plugin's protocol. */
#define PROTAP_PROBE_NO 0
/* Cannot tell before a head is longer. */
#define PROTAP_PROBE_MORE 1
/* It looks like it, but other protocols could look the same. */
#define PROTAP_PROBE_LIKELY 2
/* Nothing else looks like this. */
#define PROTAP_PROBE_CERTAIN 3
/* The heads do not tell who is the client. */
#define PROTAP_PROBE_CLIENT_UNKNOWN 0
/* A is the client. */
#define PROTAP_PROBE_CLIENT_A 1
/* B is the client. */
#define PROTAP_PROBE_CLIENT_B 2

/* select argument of the import pending. It writes the context (at most MAX_CONTEXT bytes) to out and
 * returns its length, or -1 if there is no such request. */
/* The peer's pending request with this id. */
#define PROTAP_PENDING_BY_ID 0
/* The peer's oldest pending request without an id; FRONT + n is the nth after it. */
#define PROTAP_PENDING_FRONT 1

/* What the guest did with the window: ParseResult.verb. */
/* consumed bytes are done with; call again with what follows them. resync: no frame starts in them. */
#define PROTAP_VERB_MORE 0
/* As MORE, but not before amount bytes follow (more than the window had left). */
#define PROTAP_VERB_NEED 1
/* consumed bytes are done with and the amount after them shall be passed over without a copy. */
#define PROTAP_VERB_SKIP 2
/* The flow is not of this protocol after all: infer again, without this plugin. */
#define PROTAP_VERB_REJECT 3
/* The flow is this protocol's, but unreadable from here on (encrypted): count it, and call no more. */
#define PROTAP_VERB_OPAQUE 4
/* From stream offset amount on another protocol begins: infer again from there. */
#define PROTAP_VERB_HANDOVER 5
/* The bytes after consumed make no sense: resync. */
#define PROTAP_VERB_INVALID 6
/* The gap cannot be bridged: resync behind it. */
#define PROTAP_VERB_LOST 7
/* resync only: a frame starts consumed bytes into the window, confirmed. */
#define PROTAP_VERB_FOUND 8
/* resync only: a frame may start consumed bytes into the window; if it does, the next one starts at
 * stream offset amount, where the host shall ask again with flag.EXPECTED. */
#define PROTAP_VERB_CANDIDATE 9

/* What a message is: Message.kind. */
/* Asks for an answer. */
#define PROTAP_KIND_REQUEST 0
/* Answers a request of the peer. */
#define PROTAP_KIND_RESPONSE 1
/* Neither is an answer nor gets one. */
#define PROTAP_KIND_ONE_WAY 2

/* How a request ended: Message.status. */
/* Nothing is known about it. */
#define PROTAP_STATUS_UNKNOWN 0
/* It succeeded. */
#define PROTAP_STATUS_OK 1
/* It failed, and the client is to blame. */
#define PROTAP_STATUS_CLIENT_ERROR 2
/* It failed, and the server is to blame. */
#define PROTAP_STATUS_SERVER_ERROR 3
/* It failed for lack of time. */
#define PROTAP_STATUS_TIMEOUT 4

/* How much of a message was decoded: Message.completeness. */
/* All that the plugin decodes of such a message. */
#define PROTAP_COMPLETENESS_FULL 0
/* Some of it; Message.reason says why not all. */
#define PROTAP_COMPLETENESS_PARTIAL 1
/* The header alone; Message.reason says why. */
#define PROTAP_COMPLETENESS_HEADER 2

/* Bits of Message.flags. */
/* id is meaningful: the message is paired by it. Without it, pairing is in order. */
#define PROTAP_MESSAGE_HAS_ID 1
/* code is meaningful. */
#define PROTAP_MESSAGE_HAS_CODE 2
/* A response which more responses to the same request will follow. */
#define PROTAP_MESSAGE_MORE_REPLIES 4
/* With MORE_REPLIES: the next response will bear next_id instead of the request's id as well as it. */
#define PROTAP_MESSAGE_HAS_NEXT_ID 8
/* A request which the server may hold back on purpose: its latency is not its server's slowness. */
#define PROTAP_MESSAGE_LONG_POLL 16
/* The message is built over several calls: this is its first part, further parts bear the same handle. */
#define PROTAP_MESSAGE_BEGIN 32
/* A further part of the message handle: what it sets replaces what was there. */
#define PROTAP_MESSAGE_AMEND 64
/* The last part of the message handle. */
#define PROTAP_MESSAGE_FINISH 128
/* No message: the request with this id is withdrawn by the side that asked. */
#define PROTAP_MESSAGE_CANCEL 256

/* Type of an attribute's value: Attribute.tag. */
/* value is a Str. */
#define PROTAP_TAG_STR 0
/* value is an i64. */
#define PROTAP_TAG_I64 1
/* value holds the bits of an f64. */
#define PROTAP_TAG_F64 2
/* value is 0 or 1. */
#define PROTAP_TAG_BOOL 3
/* value is (address, count) of an array of Str. */
#define PROTAP_TAG_LIST 4
/* As STR, but the string is the key of a fact in namespace aux; the record gets the fact's value, or the
 * key where no such fact is known. */
#define PROTAP_TAG_REF 5
/* As LIST, of keys of facts in namespace aux. */
#define PROTAP_TAG_REF_LIST 6

/* A string or an array in the plugin's memory: address, and length in bytes (of an array: number of elements). Both 0:
 * absent. */
typedef struct protap_str {
    uint32_t ptr;
    uint32_t len;
} protap_str;
_Static_assert(sizeof(protap_str) == 8, "protap_str");

/* What parse and resync answer. It stays valid until the next call into the guest. */
typedef struct protap_parse_result {
    /* One of verb. */
    uint32_t verb;
    /* Bytes of the window that are done with; at most the window's length. */
    uint32_t consumed;
    /* Operand of the verb. */
    uint64_t amount;
    /* Address of the first Message. */
    uint32_t messages;
    /* Number of messages. */
    uint32_t message_count;
    /* Distance from one message to the next, at least Message.SIZE. */
    uint32_t message_stride;
    /* Address of the first Fact. */
    uint32_t facts;
    /* Number of facts. */
    uint32_t fact_count;
    /* Distance from one fact to the next, at least Fact.SIZE. */
    uint32_t fact_stride;
    /* Why, for people: of REJECT, OPAQUE, HANDOVER, INVALID, LOST. */
    protap_str reason;
} protap_parse_result;
_Static_assert(sizeof(protap_parse_result) == 48, "protap_parse_result");
_Static_assert(offsetof(protap_parse_result, verb) == 0, "protap_parse_result.verb");
_Static_assert(offsetof(protap_parse_result, consumed) == 4, "protap_parse_result.consumed");
_Static_assert(offsetof(protap_parse_result, amount) == 8, "protap_parse_result.amount");
_Static_assert(offsetof(protap_parse_result, messages) == 16, "protap_parse_result.messages");
_Static_assert(offsetof(protap_parse_result, message_count) == 20, "protap_parse_result.message_count");
_Static_assert(offsetof(protap_parse_result, message_stride) == 24, "protap_parse_result.message_stride");
_Static_assert(offsetof(protap_parse_result, facts) == 28, "protap_parse_result.facts");
_Static_assert(offsetof(protap_parse_result, fact_count) == 32, "protap_parse_result.fact_count");
_Static_assert(offsetof(protap_parse_result, fact_stride) == 36, "protap_parse_result.fact_stride");
_Static_assert(offsetof(protap_parse_result, reason) == 40, "protap_parse_result.reason");

/* One message, or with BEGIN, AMEND, FINISH one part of it. */
typedef struct protap_message {
    /* Stream offset of its first byte. */
    uint64_t start;
    /* Stream offset behind its last byte; may lie ahead of what the guest was given. */
    uint64_t end;
    /* Correlation id, if HAS_ID. */
    uint64_t id;
    /* Id of the next response, if HAS_NEXT_ID. */
    uint64_t next_id;
    /* The protocol's own status or error number, if HAS_CODE. */
    int64_t code;
    /* Bits of message. */
    uint32_t flags;
    /* Chosen by the guest, names a message that is built over several calls. */
    uint32_t handle;
    /* One of kind. */
    uint8_t kind;
    /* One of status. */
    uint8_t status;
    /* One of completeness. */
    uint8_t completeness;
    /* Zero. */
    uint8_t reserved;
    /* Index into the manifest's protocols. */
    uint16_t protocol;
    /* 0, or 1 + index into the manifest's facts: resource and endpoint are keys of facts in it. */
    uint16_t resource_facts;
    /* Command or API. */
    protap_str type_name;
    /* Version of the protocol or of the API. */
    protap_str version;
    /* Where the resource lives: database, virtual host. */
    protap_str domain;
    /* What is asked for or acted upon: topic, collection. */
    protap_str resource;
    /* What to group by: resource, or domain and resource. */
    protap_str endpoint;
    /* Name of the error. */
    protap_str exception;
    /* Outcome in words. */
    protap_str result;
    /* Why completeness is not full. */
    protap_str reason;
    /* Of a request: at most MAX_CONTEXT bytes to be given back by pending when its response is parsed. */
    protap_str context;
    /* Address and number of the Attributes. */
    protap_str attributes;
    /* Distance from one attribute to the next, at least Attribute.SIZE. */
    uint32_t attribute_stride;
    /* Zero. */
    uint32_t reserved_tail;
} protap_message;
_Static_assert(sizeof(protap_message) == 144, "protap_message");
_Static_assert(offsetof(protap_message, start) == 0, "protap_message.start");
_Static_assert(offsetof(protap_message, end) == 8, "protap_message.end");
_Static_assert(offsetof(protap_message, id) == 16, "protap_message.id");
_Static_assert(offsetof(protap_message, next_id) == 24, "protap_message.next_id");
_Static_assert(offsetof(protap_message, code) == 32, "protap_message.code");
_Static_assert(offsetof(protap_message, flags) == 40, "protap_message.flags");
_Static_assert(offsetof(protap_message, handle) == 44, "protap_message.handle");
_Static_assert(offsetof(protap_message, kind) == 48, "protap_message.kind");
_Static_assert(offsetof(protap_message, status) == 49, "protap_message.status");
_Static_assert(offsetof(protap_message, completeness) == 50, "protap_message.completeness");
_Static_assert(offsetof(protap_message, reserved) == 51, "protap_message.reserved");
_Static_assert(offsetof(protap_message, protocol) == 52, "protap_message.protocol");
_Static_assert(offsetof(protap_message, resource_facts) == 54, "protap_message.resource_facts");
_Static_assert(offsetof(protap_message, type_name) == 56, "protap_message.type_name");
_Static_assert(offsetof(protap_message, version) == 64, "protap_message.version");
_Static_assert(offsetof(protap_message, domain) == 72, "protap_message.domain");
_Static_assert(offsetof(protap_message, resource) == 80, "protap_message.resource");
_Static_assert(offsetof(protap_message, endpoint) == 88, "protap_message.endpoint");
_Static_assert(offsetof(protap_message, exception) == 96, "protap_message.exception");
_Static_assert(offsetof(protap_message, result) == 104, "protap_message.result");
_Static_assert(offsetof(protap_message, reason) == 112, "protap_message.reason");
_Static_assert(offsetof(protap_message, context) == 120, "protap_message.context");
_Static_assert(offsetof(protap_message, attributes) == 128, "protap_message.attributes");
_Static_assert(offsetof(protap_message, attribute_stride) == 136, "protap_message.attribute_stride");
_Static_assert(offsetof(protap_message, reserved_tail) == 140, "protap_message.reserved_tail");

/* One attribute of a message. */
typedef struct protap_attribute {
    /* Index into the manifest's attributes. */
    uint16_t index;
    /* One of tag. */
    uint8_t tag;
    /* Zero. */
    uint8_t reserved;
    /* Namespace of REF and REF_LIST: index into the manifest's facts. */
    uint32_t aux;
    /* The value, as its tag says. */
    uint64_t value;
} protap_attribute;
_Static_assert(sizeof(protap_attribute) == 16, "protap_attribute");
_Static_assert(offsetof(protap_attribute, index) == 0, "protap_attribute.index");
_Static_assert(offsetof(protap_attribute, tag) == 2, "protap_attribute.tag");
_Static_assert(offsetof(protap_attribute, reserved) == 3, "protap_attribute.reserved");
_Static_assert(offsetof(protap_attribute, aux) == 4, "protap_attribute.aux");
_Static_assert(offsetof(protap_attribute, value) == 8, "protap_attribute.value");

/* What a flow teaches about others: a key's name. */
typedef struct protap_fact {
    /* Index into the manifest's facts. */
    uint32_t namespace;
    /* Zero. */
    uint32_t reserved;
    /* What is named. */
    protap_str key;
    /* Its name. */
    protap_str value;
} protap_fact;
_Static_assert(sizeof(protap_fact) == 24, "protap_fact");
_Static_assert(offsetof(protap_fact, namespace) == 0, "protap_fact.namespace");
_Static_assert(offsetof(protap_fact, reserved) == 4, "protap_fact.reserved");
_Static_assert(offsetof(protap_fact, key) == 8, "protap_fact.key");
_Static_assert(offsetof(protap_fact, value) == 16, "protap_fact.value");

/* Exports: a plugin defines all of these. */
PROTAP_EXPORT("protap_input") uint32_t protap_input(uint32_t len);
PROTAP_EXPORT("protap_configure") uint32_t protap_configure(uint32_t len);
PROTAP_EXPORT("protap_probe") uint64_t protap_probe(uint32_t len_a, uint32_t len_b, uint32_t flags, uint32_t ports);
PROTAP_EXPORT("protap_open") uint32_t protap_open(uint32_t flags, uint32_t ports);
PROTAP_EXPORT("protap_parse") uint32_t protap_parse(uint32_t handle, uint32_t flags, uint64_t offset, uint32_t len, uint64_t gap);
PROTAP_EXPORT("protap_resync") uint32_t protap_resync(uint32_t handle, uint32_t flags, uint64_t offset, uint32_t len);
PROTAP_EXPORT("protap_close") void protap_close(uint32_t handle);

/* Imports: what a plugin may call. */
PROTAP_IMPORT("pending") int32_t protap_pending(uint32_t select, uint64_t id, uint32_t out);
PROTAP_IMPORT("log") void protap_log(uint32_t level, uint32_t ptr, uint32_t len);

#endif
