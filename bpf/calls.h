/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What system calls and changes of a TCP socket's state mean. Nothing here is of BPF, and tests/calls_test.c tests it natively.
 */
#ifndef PROTAP_CALLS_H
#define PROTAP_CALLS_H

/* The arguments of a call, and what they mean. */
struct arguments {
	__u32 kind;
	__u32 is_messages;
	__u32 is_vector;
	__u32 is_header;
	/* Which argument holds flags; 0 if none does. */
	__u32 flags_at;
	/* The fifth one is a socket address. */
	__u32 has_name;
	__u32 fd;
	__u64 second;
	__u64 third;
	__u64 fourth;
	__u64 fifth;
};

/* What a system call does with its descriptor; false if it is none of ours. */
static __always_inline bool classify(long nr, struct arguments *arguments)
{
	switch (nr) {
	case NR_read: arguments->kind = EVENT_RECEIVED; return 1;
	case NR_write: arguments->kind = EVENT_SENT; return 1;
	case NR_readv: arguments->kind = EVENT_RECEIVED; arguments->is_vector = 1; return 1;
	case NR_writev: arguments->kind = EVENT_SENT; arguments->is_vector = 1; return 1;
	case NR_recvfrom:
		arguments->kind = EVENT_RECEIVED;
		arguments->flags_at = 4;
		arguments->has_name = 1;
		return 1;
	case NR_sendto: arguments->kind = EVENT_SENT; arguments->has_name = 1; return 1;
	case NR_recvmsg:
		arguments->kind = EVENT_RECEIVED;
		arguments->is_header = 1;
		arguments->flags_at = 3;
		return 1;
	case NR_sendmsg: arguments->kind = EVENT_SENT; arguments->is_header = 1; return 1;
	case NR_recvmmsg:
		arguments->kind = EVENT_RECEIVED;
		arguments->is_messages = 1;
		arguments->flags_at = 4;
		return 1;
	case NR_sendmmsg: arguments->kind = EVENT_SENT; arguments->is_messages = 1; return 1;
	}
	return 0;
}

static __always_inline __u64 flags_of(const struct arguments *arguments)
{
	if (!arguments->flags_at)
		return 0;
	return arguments->flags_at == 3 ? arguments->third : arguments->fourth;
}

/* The bytes are left to another call, or are not the stream's. */
static __always_inline bool takes_nothing(const struct arguments *arguments)
{
	return flags_of(arguments) & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB);
}

/* Where what was sent ends, in this state: a FIN counts one. */
static __always_inline __u32 end_of_sent(__u32 write_seq, int state)
{
	switch (state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK: return write_seq - 1;
	}
	return write_seq;
}

/* Where what was read ends: a FIN counts one once all before it was read. */
static __always_inline __u32 end_of_received(__u32 copied_seq, __u32 rcv_nxt, bool has_fin)
{
	return copied_seq - (has_fin && copied_seq == rcv_nxt);
}

/* Whether the byte of that number has left, so that the peer may know of it. */
static __always_inline bool has_left(__u32 snd_nxt, __u32 seq)
{
	return (__s32)(snd_nxt - seq) > 0;
}

/* What a change of state says of the stream; 0 if nothing. */
static __always_inline __u32 kind_of_change(int old, int new)
{
	switch (new) {
	case TCP_ESTABLISHED: return old == TCP_SYN_SENT ? EVENT_OPENED : EVENT_ACCEPTED;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK: return EVENT_FIN_SENT;
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING: return EVENT_FIN_RECEIVED;
	case TCP_CLOSE: break;
	default: return 0;
	}
	switch (old) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT1: return EVENT_RESET;
	case TCP_FIN_WAIT2: return EVENT_FIN_RECEIVED;
	case TCP_LAST_ACK:
	case TCP_CLOSING: return EVENT_GONE;
	}
	return 0;
}

/* A socket that is closed and not waited for has not seen its peer's FIN: that has yet to come, or never will. */
static __always_inline __u32 kind_of_end(__u32 kind, int new, bool has_fin, int error)
{
	if (kind != EVENT_FIN_RECEIVED || new != TCP_CLOSE || has_fin)
		return kind;
	return error ? EVENT_RESET : EVENT_GONE;
}

#endif
