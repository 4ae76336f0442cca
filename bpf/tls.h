/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Plaintext from TLS libraries (OpenSSL, BoringSSL and what has their functions). A uprobe at a function's entry notes
 * its arguments; one at its return copies what it moved. No struct of a library is looked into: which socket an SSL
 * belongs to shows when the library itself calls the kernel within SSL_read, SSL_write or SSL_do_handshake. Where the
 * program moves the ciphertext and hands it over in memory (BIO pairs), an SSL_read that follows the receipt of TLS
 * records in the same thread is taken to be about those, and events say that this is only likely.
 *
 * Uprobes can be preempted, by others of them too, so no per-CPU memory is used here: chunks go straight into the ring.
 */
#ifndef PROTAP_TLS_H
#define PROTAP_TLS_H

/* User space's name of a stream. */
struct tls_key {
	__u64 ssl;
	__u64 tgid;
};

/* In place of a kind: the thread's last call was about a socket that is not looked at. */
#define LAST_UNWANTED 255

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tls_key);
	__type(value, struct tls_stream);
} tls_streams SEC(".maps");

/* Sockets that carry ciphertext, and whose. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct tls_key);
} tls_sockets SEC(".maps");

/* A handshake reads too. */
static __always_inline bool is_reading(__u32 function)
{
	return function == TLS_READ || function == TLS_READ_EX || function == TLS_READ_EARLY || function == TLS_HANDSHAKE;
}

/* The thread is in a TLS library; a call that never returned (longjmp) is not taken for one. */
static __always_inline bool is_within_tls(const struct task *task)
{
	return task->tls.function && user_stack() <= task->tls.stack;
}

/* Makes the socket of the task's last call that of a stream, unless it is already. */
static __always_inline struct tls_stream *tie(const struct tls_key *key, struct task *task, __u32 flags)
{
	struct tls_stream *stream = bpf_map_lookup_elem(&tls_streams, key), *fresh = &task->fresh;
	const struct event *from = &task->event;
	__u32 sent = from->seq, received = from->ack;

	if (stream && stream->socket == from->socket && stream->event.local_port == from->local_port &&
	    stream->event.remote_port == from->remote_port) {
		if (!flags)
			stream->event.flags = EVENT_TLS;
		return stream;
	}
	if (from->kind == EVENT_RECEIVED) {
		sent = from->ack;
		received = from->seq;
	}
	fresh->socket = from->socket;
	fresh->event = *from;
	fresh->event.kind = EVENT_TIED;
	/* When the library was called: not later than the bytes that this call moves. */
	fresh->event.at = task->tls.began;
	fresh->event.socket = bpf_ktime_get_ns();
	fresh->event.flags = EVENT_TLS | flags;
	fresh->event.len = TLS_HEAD;
	__builtin_memcpy(fresh->head, task->head, TLS_HEAD);
	fresh->event.seq = sent;
	fresh->event.ack = received;
	bpf_get_current_comm(fresh->event.comm, sizeof(fresh->event.comm));
	if (bpf_ringbuf_output(&events, &fresh->event, sizeof(fresh->event) + TLS_HEAD, BPF_RB_NO_WAKEUP))
		count(COUNTER_RING_EVENTS, 1);
	fresh->event.len = 0;
	fresh->event.seq = 0;
	fresh->event.ack = 0;
	bpf_map_update_elem(&tls_streams, key, fresh, 0);
	bpf_map_update_elem(&tls_sockets, &fresh->socket, key, 0);
	return bpf_map_lookup_elem(&tls_streams, key);
}

/* Whether what a call moved begins as a TLS record does (RFC 8446, section 5.1). */
static __always_inline bool begins_with_record(const struct call *call, struct task *task)
{
	__u64 from = call->buffer;
	__u8 head[TLS_HEAD] = {};

	if (call->is_messages)
		return 0;
	if (call->vecs) {
		struct iovec vec = {};

		bpf_probe_read_user(&vec, sizeof(vec), (void *)from);
		from = vec.base;
	}
	bpf_probe_read_user(head, sizeof(head), (void *)from);
	if (head[0] < 20 || head[0] > 23 || head[1] != 3 || head[2] > 4)
		return 0;
	__builtin_memcpy(task->head, head, TLS_HEAD);
	return 1;
}

/* The socket belongs to another SSL of the process, which still is there. */
static __always_inline bool is_of_another(const struct tls_key *owner, const struct tls_key *key, __u64 socket)
{
	struct tls_stream *stream;

	if (!owner || owner->tgid != key->tgid || owner->ssl == key->ssl)
		return 0;
	stream = bpf_map_lookup_elem(&tls_streams, owner);
	return stream && stream->socket == socket;
}

/*
 * At the exit of a system call: true if what it moved is ciphertext, whose plaintext the library's calls tell. Within a
 * library's call, its callbacks may use other sockets, so a record's beginning must be seen before the two are tied.
 */
static __always_inline bool is_ciphertext(const struct call *call, const struct event *event, __u64 bytes)
{
	struct task *task = begin_task();
	struct tls_key key = {}, *owner;
	bool is_record, is_own;

	if (!task) {
		count(COUNTER_UNTRACKED_CALLS, 1);
		return 0;
	}
	task->event = *event;
	if (event->flags & EVENT_DATAGRAM)
		return 0;
	key.ssl = task->tls.ssl;
	key.tgid = event->tgid;
	owner = bpf_map_lookup_elem(&tls_sockets, &event->socket);
	is_own = owner && owner->ssl == key.ssl && owner->tgid == key.tgid;
	is_record = is_own || begins_with_record(call, task);
	if (is_within_tls(task) && is_record && !is_of_another(owner, &key, event->socket))
		tie(&key, task, 0);
	else if (!owner) {
		task->last = is_record ? event->kind : 0;
		return 0;
	}
	task->last = event->kind;
	count(COUNTER_CIPHERTEXT_BYTES, bytes);
	return 1;
}

/* After a call on a socket that is not looked at: it is not what the next SSL_read is about. */
static __always_inline void forget_last(void)
{
	struct task *task = find_task();

	if (task)
		task->last = LAST_UNWANTED;
}

/*
 * An SSL that makes no call itself is about what the thread received last, if those were TLS records that no other SSL
 * has asked for. So when it begins to read; an SSL_write says nothing, since its records are sent after it.
 */
static __always_inline void tie_likely(struct task *task, const struct tls_key *key)
{
	struct tls_stream *stream = bpf_map_lookup_elem(&tls_streams, key);
	struct tls_key *owner;

	if (task->last != EVENT_RECEIVED || (stream && !(stream->event.flags & EVENT_LIKELY)))
		return;
	if (stream && stream->socket == task->event.socket)
		return;
	owner = bpf_map_lookup_elem(&tls_sockets, &task->event.socket);
	if (is_of_another(owner, key, task->event.socket))
		return;
	tie(key, task, EVENT_LIKELY);
	task->last = 0;
}

/* A socket outlives its stream where a program goes on in plain. */
static __always_inline void untie(const struct tls_key *key, const struct tls_stream *stream)
{
	struct event event = stream->event;
	__u64 socket = stream->socket;
	struct tls_key *owner = bpf_map_lookup_elem(&tls_sockets, &socket);

	if (!owner || owner->ssl != key->ssl || owner->tgid != key->tgid)
		return;
	bpf_map_delete_elem(&tls_sockets, &socket);
	event.kind = EVENT_UNTIED;
	event.at = bpf_ktime_get_ns();
	if (bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		count(COUNTER_RING_EVENTS, 1);
}

SEC("uprobe")
int on_tls_enter(struct pt_regs *regs)
{
	__u64 id = bpf_get_current_pid_tgid(), function = bpf_get_attach_cookie(regs);
	struct tls_call *tls;
	struct tls_key key;
	struct task *task;

	if (!is_wanted_process(id >> 32))
		return 0;
	key.ssl = PT_REGS_PARM1(regs);
	key.tgid = id >> 32;
	if (function == TLS_FREE) {
		struct tls_stream *stream = bpf_map_lookup_elem(&tls_streams, &key);

		if (stream) {
			untie(&key, stream);
			bpf_map_delete_elem(&muted, &stream->event.socket);
			bpf_map_delete_elem(&tls_streams, &key);
		}
		return 0;
	}
	task = begin_task();
	if (!task) {
		count(COUNTER_UNTRACKED_CALLS, 1);
		return 0;
	}
	tls = &task->tls;
	if (tls->function && PT_REGS_SP(regs) < tls->stack) {
		/* The outer one counts: TLS within TLS, a read that does the handshake first, or one that is for another. */
		if (tls->ssl != key.ssl || function == TLS_HANDSHAKE || is_reading(function) == is_reading(tls->function))
			return 0;
		tls = &task->inner_tls;
	}
	tls->ssl = key.ssl;
	tls->buffer = PT_REGS_PARM2(regs);
	tls->moved = PT_REGS_PARM4(regs);
	tls->stack = PT_REGS_SP(regs);
	tls->began = bpf_ktime_get_ns();
	tls->function = function;
	if (tls == &task->tls && is_reading(function))
		tie_likely(task, &key);
	return 0;
}

/* What is to be copied of a call. It stays as it is: a loop whose state changed would be verified step by step. */
struct tls_copy {
	struct event event;
	__u64 from;
	__u64 bytes;
	__u64 over_cap;
};

static int copy_tls(__u32 index, void *context)
{
	struct tls_copy *copy = context;
	__u64 begin = (__u64)index * EVENT_CHUNK, len = copy->bytes - begin;

	if (begin >= copy->bytes)
		return 1;
	if (len > EVENT_CHUNK)
		len = EVENT_CHUNK;
	put(&copy->event, copy->event.seq + begin, copy->from + begin, len, begin + len < copy->bytes ? 0 : copy->over_cap);
	return 0;
}

/* How many bytes a function moved. */
static __always_inline __u64 bytes_moved(const struct tls_call *tls, long returned)
{
	__u64 bytes = 0;
	__s32 ret = returned;

	if (tls->function == TLS_SENDFILE)
		return returned > 0 ? returned : 0;
	if (tls->function == TLS_READ || tls->function == TLS_WRITE)
		return ret > 0 ? ret : 0;
	if (ret == 1)
		bpf_probe_read_user(&bytes, sizeof(bytes), (void *)tls->moved);
	return bytes;
}

/* Fills in which bytes of the stream an event is about, and counts them. */
static __always_inline void place_plaintext(struct tls_copy *copy, struct tls_stream *stream, __u32 function, __u64 bytes)
{
	copy->event = stream->event;
	if (is_reading(function)) {
		copy->event.kind = EVENT_RECEIVED;
		copy->event.seq = stream->event.ack;
		copy->event.ack = stream->event.seq;
		stream->event.ack += bytes;
	} else {
		copy->event.kind = EVENT_SENT;
		stream->event.seq += bytes;
	}
}

/* Return takes the return address from the stack, on x86. */
static __always_inline bool returns(const struct tls_call *tls, __u32 function, __u64 stack)
{
	return tls->function == function && stack >= tls->stack && stack <= tls->stack + 8;
}

SEC("uretprobe")
int on_tls_exit(struct pt_regs *regs)
{
	__u64 id = bpf_get_current_pid_tgid(), function = bpf_get_attach_cookie(regs), bytes;
	struct task *task = find_task();
	struct tls_call tls, *returning;
	struct tls_stream *stream;
	struct tls_copy copy = {};
	struct tls_key key;

	if (!task)
		return 0;
	returning = returns(&task->inner_tls, function, PT_REGS_SP(regs)) ? &task->inner_tls : &task->tls;
	if (!returns(returning, function, PT_REGS_SP(regs)))
		return 0;
	tls = *returning;
	returning->function = 0;
	key.ssl = tls.ssl;
	key.tgid = id >> 32;
	if (function == TLS_HANDSHAKE)
		return 0;
	bytes = bytes_moved(&tls, PT_REGS_RC(regs));
	if (!bytes)
		return 0;
	stream = bpf_map_lookup_elem(&tls_streams, &key);
	if (!stream) {
		if (task->last != LAST_UNWANTED)
			count(COUNTER_UNPLACED_BYTES, bytes);
		return 0;
	}
	place_plaintext(&copy, stream, function, bytes);
	/* Its bytes are in a file: what follows shows how many they were. */
	if (function == TLS_SENDFILE)
		return 0;
	if (is_muted(copy.event.socket, copy.event.first)) {
		count(COUNTER_MUTED_CALLS, 1);
		return 0;
	}
	copy.event.at = is_reading(function) ? bpf_ktime_get_ns() : tls.began;
	bpf_get_current_comm(copy.event.comm, sizeof(copy.event.comm));
	copy.from = tls.buffer;
	copy.bytes = bytes;
	if (bytes > settings.call_cap) {
		copy.bytes = settings.call_cap;
		copy.over_cap = bytes - settings.call_cap;
		count(COUNTER_CAP_BYTES, copy.over_cap);
	}
	bpf_loop(1 << 18, copy_tls, &copy, 0);
	return 0;
}

#endif
