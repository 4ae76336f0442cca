/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket bytes as programs read and write them. All is done when a system call has moved them: its arguments are still known
 * then, so the descriptor is resolved to its socket, and the bytes that the call did move are copied into the ring. They are the last
 * ones before the stream's position, which TCP keeps. Which bytes those are in memory, copy.h knows; what they mean, nobody
 * here does. No descriptor table is kept, so connections that are older than the trace, duplicated and inherited descriptors
 * are no special cases.
 *
 * Two callers on one socket at once are not seen here, but by user space: what the later one of them claims begins before
 * the end of what was claimed by then.
 *
 * This is the core of all front ends, in tp_btf.bpf.c and tracepoint.bpf.c, which are compiled by themselves. Besides the
 * hooks, each says how a kernel pointer is followed (GET), where a task's descriptors are (own_files) and where what is known
 * of a task is kept (begin_task, find_task).
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

/* Plaintext that goes through one SSL. */
struct tls_stream {
	/* The socket that carries it. */
	__u64 socket;
	/* All that is the same for each event; seq and ack are the bytes sent and received. */
	struct event event;
	/* Behind the event that ties it: its payload. */
	__u8 head[TLS_HEAD];
	__u8 unused[5];
};

/* What a task did last, as far as TLS needs to know. */
struct task {
	/* Kind of the last call, if it moved TLS records that the thread itself handed to the kernel or took from it. */
	__u32 last;
	/* How the TLS records begin that were seen last. */
	__u8 head[TLS_HEAD];
	__u8 unused;
	/* What that call was about. */
	struct event event;
	struct tls_call tls;
	/* One that a callback of the library made within it, on the same SSL and in the other direction. */
	struct tls_call inner_tls;
	/* A stream that is being tied: the stack, which calls share, has no room for it (Linux 6.1). */
	struct tls_stream fresh;
};

#include "calls.h"
#include "copy.h"

/* Where a call's bytes are in user memory. */
struct call {
	__u64 buffer;
	/* Bytes at `buffer`, if they are plain. */
	__u64 size;
	/* iovecs at `buffer`; 0 for plain bytes and for messages. */
	__u64 vecs;
	/* The address of a datagram's peer, if the call has one. */
	__u64 name;
	__u64 is_messages;
};

/*
 * A call that is being told. Not on the stack, which has not that much room; and what was summed up there, the verifier would
 * follow message by message.
 */
struct work {
	struct call call;
	struct user_msghdr header;
	/* Bytes of all its messages. */
	__u64 moved;
	struct walk walk;
	/* Its event is that of the call. */
	struct chunk chunk;
};

#include "maps.h"

/* Who makes a call: asked once, as each look at the task is a call of a helper. */
struct caller {
	struct task_struct *task;
	/* Process and thread. */
	__u64 id;
	/* When the call began, if that is known. */
	__u64 began;
};

/* Of the task that makes the call. */
static struct files_struct *own_files(struct task_struct *task);
/* Room for what is known of this task; null if there is none. */
static struct task *begin_task(void);
/* What is known of it, if anything is. */
static struct task *find_task(void);
/* The task's stack pointer in user space; 0 if that is not known. */
static __u64 user_stack(void);
/* Its name. */
static void own_comm(struct task_struct *task, struct event *event);
/* What a table of files has at a descriptor that it has room for. */
static struct file *file_at(struct file **files, __u32 fd);

#include "socket.h"
#include "told.h"
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

static int copy_next(__u32 index, void *context)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&works, &zero);

	if (!work)
		return 1;
	return copy_step(&work->walk, &work->chunk);
}

static int sum_next(__u32 index, void *context)
{
	__u32 zero = 0;
	struct work *work = bpf_map_lookup_elem(&works, &zero);
	struct mmsghdr msg;

	if (!work)
		return 1;
	if (bpf_probe_read_user(&msg, sizeof(msg), (void *)(work->call.buffer + index * sizeof(msg)))) {
		work->moved = 0;
		return 1;
	}
	work->moved += msg.len;
	return 0;
}

/* What recvmmsg and sendmmsg moved, who return a number of messages; 0 if that cannot be known. */
static __always_inline __u64 sum_of_messages(struct work *work, __u64 messages)
{
	work->moved = 0;
	bpf_loop(messages > 1024 ? 1024 : messages, sum_next, 0, 0);
	return work->moved;
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
	walk->has_datagram = !call->is_messages;
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
	if (call->is_messages) {
		walk->msgs = call->buffer;
		walk->msg_count = ret;
		return;
	}
	walk->left = bytes;
	if (call->vecs) {
		walk->vec = call->buffer;
		walk->vecs = call->vecs;
	} else {
		walk->base = call->buffer;
		walk->piece = bytes;
	}
}

/* Most calls: one buffer of a stream, that one event has room for. False if it is another one. */
static __always_inline bool is_whole(const struct call *call, const struct event *event, __u64 bytes, __u64 *from)
{
	*from = call->buffer;
	if (call->is_messages || call->vecs > 1 || (event->flags & EVENT_DATAGRAM))
		return 0;
	if (bytes > EVENT_CHUNK || bytes > settings.call_cap)
		return 0;
	if (call->vecs) {
		struct iovec vec;

		if (bpf_probe_read_user(&vec, sizeof(vec), (void *)*from))
			return 0;
		*from = vec.base;
	}
	return 1;
}

/* Puts out what was moved. Of what was sent, the other end may then tell nothing; what was received tells whose that end is. */
static __always_inline void put_whole(const struct ends *ends, struct event *event, __u64 from, __u64 bytes)
{
	struct told *told = event->kind == EVENT_SENT ? told_by_sender(ends) : told_to_receiver(ends);
	bool is_put;

	if (told && event->kind == EVENT_SENT && is_only(told, event->seq))
		event->flags |= EVENT_ONLY;
	is_put = put(event, event->seq, from, bytes, 0);
	if (!told)
		return;
	if (event->kind == EVENT_SENT)
		add_told(told, event, ends->sent, is_put);
	else if (is_put)
		hear(told, event->seq + bytes);
}

/* The others, piece by piece. */
static __always_inline void put_pieces(struct work *work, __u64 bytes, __u64 ret)
{
	begin_walk(&work->walk, &work->call, bytes, ret);
	if (work->chunk.event.flags & EVENT_DATAGRAM)
		begin_datagrams(&work->walk, &work->call, &work->chunk.event, ret);
	/* One buffer that fits in one chunk takes two steps; only what does not needs the loop. */
	if (!copy_step(&work->walk, &work->chunk) && !copy_step(&work->walk, &work->chunk))
		bpf_loop(1 << 17, copy_next, 0, 0);
	if (work->walk.over_cap)
		count(COUNTER_CAP_BYTES, work->walk.over_cap);
	if (work->walk.faulted)
		count(COUNTER_FAULT_BYTES, work->walk.faulted);
}

/* False if it is not known where its bytes are. */
static __always_inline bool find_bytes(const struct arguments *arguments, struct work *work)
{
	struct call *call = &work->call;

	call->buffer = arguments->second;
	call->size = arguments->third;
	call->vecs = arguments->is_vector ? arguments->third : 0;
	call->name = arguments->has_name ? arguments->fifth : 0;
	call->is_messages = arguments->is_messages;
	if (arguments->is_header) {
		if (bpf_probe_read_user(&work->header, sizeof(work->header), (void *)call->buffer))
			return 0;
		call->buffer = work->header.iov;
		call->vecs = work->header.iovlen;
		call->name = work->header.name;
	}
	/* Discarded by the kernel: the bytes are read, but go nowhere. */
	if ((flags_of(arguments) & MSG_TRUNC) && !(work->chunk.event.flags & EVENT_DATAGRAM))
		call->buffer = 0;
	return 1;
}

/* A call has moved bytes on that socket. */
static __always_inline int on_moved(struct sock *sk, const struct ends *ends, const struct arguments *arguments,
				    const struct caller *caller, long ret)
{
	bool muted = is_muted((__u64)sk, ends->first);
	__u64 bytes = ret;
	struct event *event;
	struct work *work;
	__u32 zero = 0;
	__u64 from;

	if (muted && !settings.has_tls) {
		count(COUNTER_MUTED_CALLS, 1);
		return 0;
	}
	work = bpf_map_lookup_elem(&works, &zero);
	if (!work)
		return 0;
	event = &work->chunk.event;
	describe(sk, ends, event);
	event->kind = arguments->kind;
	event->tgid = caller->id >> 32;
	if (!find_bytes(arguments, work)) {
		count(COUNTER_FAULT_BYTES, bytes);
		return 0;
	}
	if (arguments->is_messages)
		bytes = sum_of_messages(work, ret);
	if (!bytes)
		return 0;
	if (!ends->is_datagram)
		place(ends, event, bytes);
	if (settings.has_tls && is_ciphertext(&work->call, event, bytes))
		return 0;
	if (muted) {
		count(COUNTER_MUTED_CALLS, 1);
		return 0;
	}
	if (!ends->is_datagram && has_upper_layer(sk)) {
		count(COUNTER_CONCURRENT_BYTES, bytes);
		return 0;
	}
	event->at = time_of(sk, event, caller->began);
	own_comm(caller->task, event);
	if (!is_whole(&work->call, event, bytes, &from))
		put_pieces(work, bytes, ret);
	else
		put_whole(ends, event, from, bytes);
	return 0;
}

/* A call has ended. */
static __always_inline int on_return(const struct arguments *arguments, const struct caller *caller, long ret)
{
	struct sock *sk = socket_of(caller->task, arguments->fd);
	struct ends ends;

	if (!sk || takes_nothing(arguments))
		return 0;
	if (!find_ends(sk, &ends)) {
		if (settings.has_tls)
			forget_last();
		return 0;
	}
	if (!ends.is_datagram) {
		find_positions(sk, &ends);
		if (arguments->kind == EVENT_RECEIVED && !arguments->is_messages && need_not_tell(&ends, ret))
			return 0;
	}
	return on_moved(sk, &ends, arguments, caller, ret);
}

/* A TCP connection begins, goes on or ends. */
static __always_inline int on_change(struct sock *sk, int old, int new)
{
	__u32 kind = kind_of_change(old, new);
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 socket = (__u64)sk;
	struct event event;
	struct ends ends;
	bool is_over;

	if (new == TCP_CLOSE || new == TCP_ESTABLISHED) {
		bpf_map_delete_elem(&muted, &socket);
		if (settings.has_tls)
			bpf_map_delete_elem(&tls_sockets, &socket);
	}
	if (!kind)
		return 0;
	if (!find_ends(sk, &ends))
		return 0;
	find_positions(sk, &ends);
	__builtin_memset(&event, 0, sizeof(event));
	describe(sk, &ends, &event);
	is_over = has_fin(sk);
	kind = kind_of_end(kind, new, is_over, GET(struct sock, sk, sk_err));
	event.kind = kind;
	event.at = bpf_ktime_get_ns();
	event.seq = GET(struct tcp_sock, tcp, write_seq);
	event.ack = GET(struct tcp_sock, tcp, copied_seq);
	if (kind == EVENT_OPENED)
		open_told(&ends, event.seq, event.ack);
	if (kind == EVENT_FIN_RECEIVED) {
		event.ack = event.seq;
		event.seq = GET(struct tcp_sock, tcp, rcv_nxt) - is_over;
	}
	if (bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		count(COUNTER_RING_EVENTS, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
