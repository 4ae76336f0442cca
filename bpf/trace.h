/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket bytes as programs read and write them. At a call's entry the descriptor is resolved to its socket and the
 * stream's position is noted; at its exit the bytes that the call did move are copied into the ring. Which bytes those
 * are, copy.h knows; what they mean, nobody here does. No descriptor table is kept, so connections that are older than
 * the trace, duplicated and inherited descriptors are no special cases.
 *
 * This is the core of both front ends, tp_btf.bpf.c and tracepoint.bpf.c, which are compiled by themselves. Besides the
 * hooks, each says how a kernel pointer is followed (GET), where a task's descriptors are (own_files) and where its call is
 * kept between entry and exit (begin_call, find_call).
 */
#ifndef PROTAP_TRACE_H
#define PROTAP_TRACE_H

const volatile struct settings settings = { .call_cap = 1 << 20 };

/* A call into a TLS library, between its entry and its return. */
struct tls_call {
	__u64 ssl;
	__u64 buffer;
	/* Where it says how many bytes it moved. */
	__u64 moved;
	__u64 stack;
	__u64 began;
	/* enum tls_function; 0 if there is none. */
	__u32 function;
	__u32 unused;
};

/* A call between its entry and its exit. */
struct call {
	__u64 buffer;
	/* Bytes at `buffer`, if they are plain. */
	__u64 size;
	/* iovecs or messages at `buffer`; 0 for plain bytes. */
	__u64 vecs;
	/* The address of a datagram's peer, if the call has one. */
	__u64 name;
	/* Bytes of all messages that the call moved. */
	__u64 moved;
	__u32 is_messages;
	__u32 is_muted;
	/* It has not ended. */
	__u32 is_open;
	/* Kind of the last call, if it moved TLS records that the thread itself handed to the kernel or took from it. */
	__u32 last;
	struct event event;
	struct tls_call tls;
	/* One that a callback of the library made within it, on the same SSL and in the other direction. */
	struct tls_call inner_tls;
};

#include "calls.h"
#include "copy.h"

struct work {
	struct walk walk;
	struct chunk chunk;
};

#include "maps.h"

/* Of the task that makes the call. */
static struct files_struct *own_files(void);
/* Room for a call of this task; null if there is none. */
static struct call *begin_call(void);
/* What this task's last call left there, if it ever made one. */
static struct call *find_call(void);
/* The task's stack pointer in user space; 0 if that is not known. */
static __u64 user_stack(void);
/* Its name. */
static void own_comm(struct event *event);
/* What a table of files has at a descriptor that it has room for. */
static struct file *file_at(struct file **files, __u32 fd);

#include "socket.h"
#include "put.h"

static long read_user(void *to, __u32 len, __u64 from)
{
	return bpf_probe_read_user(to, len, (void *)from);
}

static void name_peer(struct event *event, __u64 name)
{
	struct sockaddr_any address = {};

	if (!name || bpf_probe_read_user(&address, event->family == AF_INET ? 8 : sizeof(address), (void *)name))
		return;
	if (address.family != event->family)
		return;
	event->remote_port = bpf_ntohs(address.port);
	if (address.family == AF_INET)
		*(__u32 *)event->remote = address.ipv4_or_flow_info;
	else
		__builtin_memcpy(event->remote, address.ipv6, 16);
}

static void put_chunk(struct chunk *chunk, __u32 payload)
{
	__u64 size = payload;

	if (size > EVENT_CHUNK)
		return;
	if (chunk->event.flags & EVENT_DATAGRAM) {
		if (!chunk->event.remote_port)
			count(COUNTER_UNPLACED_BYTES, size);
		if (!chunk->event.remote_port || !is_wanted_port(chunk->event.local_port, chunk->event.remote_port))
			return;
	}
	if (bpf_ringbuf_output(&events, chunk, sizeof(struct event) + size, BPF_RB_NO_WAKEUP)) {
		count(COUNTER_RING_EVENTS, 1);
		count(COUNTER_RING_BYTES, size);
	}
}

#include "tls.h"

/* A call begins. */
static __always_inline int on_entry(struct arguments *arguments, __u64 id)
{
	__u64 flags = 0;
	struct event *event;
	struct call *call;
	struct sock *sk;
	struct ends ends;
	bool muted;

	if (arguments->flags_at)
		flags = arguments->flags_at == 3 ? arguments->third : arguments->fourth;
	sk = socket_of(arguments->fd);
	if (!sk)
		return 0;
	if (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return 0;
	if (!find_ends(sk, &ends)) {
		if (settings.has_tls)
			forget_last();
		return 0;
	}
	muted = is_muted((__u64)sk);
	if (muted && !settings.has_tls) {
		count(COUNTER_MUTED_CALLS, 1);
		return 0;
	}
	call = begin_call();
	if (!call) {
		count(COUNTER_TASK_STORAGE, 1);
		return 0;
	}
	event = &call->event;
	describe(sk, &ends, event);
	event->kind = arguments->kind;
	event->tgid = id >> 32;
	event->tid = id;
	if (arguments->kind == EVENT_RECEIVED)
		event->seq = event->ack;
	else
		event->at = bpf_ktime_get_ns();
	call->is_open = 1;
	call->is_muted = muted;
	call->buffer = arguments->second;
	call->size = arguments->third;
	call->name = arguments->has_name ? arguments->fifth : 0;
	call->vecs = 0;
	call->is_messages = arguments->is_messages;
	if (arguments->is_vector)
		call->vecs = arguments->third;
	if (arguments->is_header) {
		struct user_msghdr header;

		if (bpf_probe_read_user(&header, sizeof(header), (void *)call->buffer)) {
			/* Read again at exit, when the call has faulted it in. */
			call->is_messages = 2;
		} else {
			call->buffer = header.iov;
			call->vecs = header.iovlen;
			call->name = header.name;
		}
	}
	/* Discarded by the kernel: the bytes are read, but go nowhere. */
	if ((flags & MSG_TRUNC) && !(event->flags & EVENT_DATAGRAM))
		call->buffer = 0;
	return 0;
}

static int copy_next(__u32 index, void *context)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&works, &zero);

	if (!work)
		return 1;
	return copy_step(&work->walk, &work->chunk);
}

/* Sums what recvmmsg and sendmmsg moved; they return a number of messages. */
struct sum {
	/* The sum is there: if it lay here, the verifier would follow it message by message. */
	struct call *call;
};

static int sum_next(__u32 index, void *context)
{
	struct call *call = ((struct sum *)context)->call;
	struct mmsghdr msg;

	if (bpf_probe_read_user(&msg, sizeof(msg), (void *)(call->buffer + index * sizeof(msg))))
		return 1;
	call->moved += msg.len;
	return 0;
}

/*
 * Whether the position noted at entry is that of these bytes; if another caller came between, it cannot be known. What was
 * received may answer all that was sent by now.
 */
static __always_inline bool is_certain(struct event *event, __u64 bytes)
{
	struct tcp_sock *tcp = (struct tcp_sock *)event->socket;
	__u32 sent = GET(struct tcp_sock, tcp, write_seq);

	if (event->kind == EVENT_SENT)
		return has_moved(EVENT_SENT, event->seq, sent, bytes);
	event->ack = sent;
	return has_moved(EVENT_RECEIVED, event->seq, GET(struct tcp_sock, tcp, copied_seq), bytes);
}

/* The number of the first of these datagrams; counts them. */
static __always_inline __u32 number_datagrams(const struct event *event, __u32 messages)
{
	struct datagrams *known = bpf_map_lookup_elem(&datagrams, &event->socket), fresh = {};

	if (!known) {
		bpf_map_update_elem(&datagrams, &event->socket, &fresh, 0);
		known = bpf_map_lookup_elem(&datagrams, &event->socket);
		if (!known)
			return 0;
	}
	return __sync_fetch_and_add(event->kind == EVENT_SENT ? &known->sent : &known->received, messages);
}

static __always_inline void begin_datagrams(struct walk *walk, struct call *call, struct event *event, __u64 ret)
{
	walk->is_datagrams = 1;
	walk->has_datagram = call->is_messages != 1;
	walk->budget = EVENT_CHUNK;
	walk->number = number_datagrams(event, walk->has_datagram ? 1 : ret);
	if (walk->has_datagram)
		name_peer(event, call->name);
	/* With MSG_TRUNC, a call says how long a datagram was, not how much it took of it. */
	if (walk->piece > call->size)
		walk->piece = call->size;
}

static __always_inline void begin_walk(struct walk *walk, struct call *call, __u64 bytes, __u64 ret)
{
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->budget = settings.call_cap;
	if (call->is_messages == 1) {
		walk->msgs = call->buffer;
		walk->msg_count = ret;
	} else if (call->is_messages == 2) {
		struct user_msghdr header = {};

		bpf_probe_read_user(&header, sizeof(header), (void *)call->buffer);
		walk->left = bytes;
		walk->vec = header.iov;
		walk->vecs = header.iovlen;
		call->name = header.name;
	} else if (call->vecs) {
		walk->left = bytes;
		walk->vec = call->buffer;
		walk->vecs = call->vecs;
	} else {
		walk->left = bytes;
		walk->base = call->buffer;
		walk->piece = bytes;
	}
}

/* Most calls: one buffer of a stream, that one event has room for. False if it is another one. */
static __always_inline bool put_whole(struct call *call, __u64 bytes)
{
	__u64 from = call->buffer;

	if (call->is_messages || call->vecs > 1 || (call->event.flags & EVENT_DATAGRAM))
		return 0;
	if (bytes > EVENT_CHUNK || bytes > settings.call_cap)
		return 0;
	if (call->vecs) {
		struct iovec vec;

		if (bpf_probe_read_user(&vec, sizeof(vec), (void *)from))
			return 0;
		from = vec.base;
	}
	put(&call->event, call->event.seq, from, bytes, 0);
	return 1;
}

/* The others, piece by piece. */
static __always_inline void put_pieces(struct call *call, __u64 bytes, __u64 ret)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&works, &zero);

	if (!work)
		return;
	work->chunk.event = call->event;
	begin_walk(&work->walk, call, bytes, ret);
	if (call->event.flags & EVENT_DATAGRAM)
		begin_datagrams(&work->walk, call, &work->chunk.event, ret);
	/* One buffer that fits in one chunk takes two steps; only what does not needs the loop. */
	if (!copy_step(&work->walk, &work->chunk) && !copy_step(&work->walk, &work->chunk))
		bpf_loop(1 << 17, copy_next, 0, 0);
	if (work->walk.over_cap)
		count(COUNTER_CAP_BYTES, work->walk.over_cap);
	if (work->walk.faulted)
		count(COUNTER_FAULT_BYTES, work->walk.faulted);
}

/* A call ends. */
static __always_inline int on_return(long ret)
{
	struct call *call = find_call();
	struct event *event;
	__u64 bytes = ret;

	if (!call || !call->is_open)
		return 0;
	call->is_open = 0;
	event = &call->event;
	if (settings.has_tls && is_ciphertext(call, event, ret))
		return 0;
	if (ret <= 0)
		return 0;
	if (call->is_muted) {
		count(COUNTER_MUTED_CALLS, 1);
		return 0;
	}
	if (call->is_messages == 1) {
		struct sum sum = { call };

		call->moved = 0;
		bpf_loop(ret > 1024 ? 1024 : ret, sum_next, &sum, 0);
		bytes = call->moved;
	}
	if (!(event->flags & EVENT_DATAGRAM) && !is_certain(event, bytes)) {
		count(COUNTER_CONCURRENT_BYTES, bytes);
		return 0;
	}
	if (event->kind == EVENT_RECEIVED)
		event->at = bpf_ktime_get_ns();
	own_comm(event);
	if (!put_whole(call, bytes))
		put_pieces(call, bytes, ret);
	return 0;
}

/* A TCP connection begins, goes on or ends. */
static __always_inline int on_change(struct sock *sk, int old, int new)
{
	__u32 kind = kind_of_change(old, new);
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 socket = (__u64)sk;
	struct event event;
	struct ends ends;
	bool has_fin;

	if (new == TCP_CLOSE || new == TCP_ESTABLISHED) {
		bpf_map_delete_elem(&muted, &socket);
		if (settings.has_tls)
			bpf_map_delete_elem(&tls_sockets, &socket);
	}
	if (!kind)
		return 0;
	if (!find_ends(sk, &ends))
		return 0;
	__builtin_memset(&event, 0, sizeof(event));
	describe(sk, &ends, &event);
	has_fin = GET(struct sock, sk, __sk_common.skc_flags) & (1 << SOCK_DONE);
	kind = kind_of_end(kind, new, has_fin, GET(struct sock, sk, sk_err));
	event.kind = kind;
	event.at = bpf_ktime_get_ns();
	if (kind == EVENT_FIN_RECEIVED) {
		event.ack = event.seq;
		event.seq = GET(struct tcp_sock, tcp, rcv_nxt) - has_fin;
	}
	if (bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		count(COUNTER_RING_EVENTS, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
