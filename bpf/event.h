/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * All that crosses between the kernel and user space: the header of each event in the ring, the counters, the limits.
 * This is the only definition. The runtime's build script reads this file and makes Rust constants of it (offsets of the
 * fields, values of the enums and macros), so it keeps to one field or value a line, naturally aligned, without padding.
 */
#ifndef PROTAP_EVENT_H
#define PROTAP_EVENT_H

/* Most payload bytes of one event. Longer calls become several. */
#define EVENT_CHUNK 8192

/* Bytes of a TLS record that show it is one. */
#define TLS_HEAD 3

/* What happened. */
enum event_kind {
	EVENT_SENT = 1,
	EVENT_RECEIVED = 2,
	EVENT_OPENED = 3,
	EVENT_ACCEPTED = 4,
	EVENT_FIN_SENT = 5,
	EVENT_FIN_RECEIVED = 6,
	EVENT_RESET = 7,
	EVENT_GONE = 8,
	/*
	 * A TLS library's stream was tied to this socket; seq and ack are what it had sent and received by then. The payload is
	 * how a record of it begins.
	 */
	EVENT_TIED = 9,
	/* The library has freed that stream: what the socket moves from now on is what the program says. */
	EVENT_UNTIED = 10,
};

/* How an event came about; bits of `flags`. */
enum event_flag {
	/* Plaintext, from a TLS library: `socket` names the library's stream, seq and ack count its bytes from 0. */
	EVENT_TLS = 1,
	/* The addresses are those of the thread's last receipt, not of a call that the library made. */
	EVENT_LIKELY = 2,
	/* One datagram; seq counts those of the socket in that direction. */
	EVENT_DATAGRAM = 4,
	/* The other end does not tell of these bytes, since this one does. */
	EVENT_ONLY = 8,
};

/* Followed by `len` bytes of payload. */
struct event {
	/* CLOCK_MONOTONIC: when the bytes left or the call began (sent), when it returned (received). */
	__u64 at;
	/* The socket's address in the kernel: a name, good until EVENT_GONE. */
	__u64 socket;
	/* The process; 0 where the kernel acted by itself. */
	__u32 tgid;
	/* TCP sequence number of the first byte, or of the FIN. */
	__u32 seq;
	/*
	 * Sequence number up to which this end had come in the opposite direction when the call ended. What led to these bytes
	 * is before it.
	 */
	__u32 ack;
	/* Payload bytes that follow. */
	__u32 len;
	/* Bytes of the stream behind them that were not copied. */
	__u32 missing;
	/* Host byte order. */
	__u16 local_port;
	__u16 remote_port;
	/* enum event_kind */
	__u16 kind;
	/* AF_INET or AF_INET6. */
	__u8 family;
	/* enum event_flag */
	__u8 flags;
	/*
	 * Number of the first byte that this end received, or will receive. Another connection with the same socket or ports has
	 * another one.
	 */
	__u32 first;
	__u8 local[16];
	__u8 remote[16];
	__u8 comm[16];
};

/* Set before the programs are loaded: what is not asked for is dead code to the verifier. */
struct settings {
	/* Bytes copied of one call at most. */
	__u64 call_cap;
	/* enum filter */
	__u32 filters;
	/* The tracing program, which is not traced. */
	__u32 own_tgid;
	__u32 has_excluded_ports;
	__u32 has_tls;
};

/* What was not seen, by its cause: indices into the map `counters`. */
enum counter {
	/* The ring was full. */
	COUNTER_RING_EVENTS = 0,
	COUNTER_RING_BYTES = 1,
	/* Over the cap of a call. */
	COUNTER_CAP_BYTES = 2,
	/* The memory could not be read. */
	COUNTER_FAULT_BYTES = 3,
	/* Sockets with an upper layer (the kernel's TLS): where the bytes belong is not known. */
	COUNTER_CONCURRENT_BYTES = 4,
	/* Calls on muted sockets, not followed. */
	COUNTER_MUTED_CALLS = 5,
	/* 32-bit system calls. */
	COUNTER_COMPAT_CALLS = 6,
	/* Calls not followed: no memory for a task's state, or several messages in one where it is not known which. */
	COUNTER_UNTRACKED_CALLS = 7,
	/* What sockets carried whose plaintext is taken from a TLS library. */
	COUNTER_CIPHERTEXT_BYTES = 8,
	/* Plaintext of which no socket is known. */
	COUNTER_UNPLACED_BYTES = 9,
	COUNTER_COUNT = 10,
};

/* The functions of TLS libraries that are probed; a probe's cookie says which one. */
enum tls_function {
	TLS_READ = 1,
	TLS_READ_EX = 2,
	TLS_WRITE = 3,
	TLS_WRITE_EX = 4,
	TLS_HANDSHAKE = 5,
	TLS_FREE = 6,
	TLS_READ_EARLY = 7,
	TLS_WRITE_EARLY = 8,
	TLS_SENDFILE = 9,
};

/* What to trace; bits of `filters`. */
enum filter {
	FILTER_PID = 1,
	FILTER_COMM = 2,
	FILTER_CGROUP = 4,
	FILTER_PORT = 8,
};

/* Values of the map `ports`. */
enum port_rule {
	PORT_WANTED = 1,
	PORT_EXCLUDED = 2,
};

#endif
