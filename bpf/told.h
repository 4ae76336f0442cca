/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What need not be told twice. Where a client's calls have told what it sent, its server's calls would tell the same
 * bytes once more: they are left out. That is done only for bytes that are known to be in the ring, one call's behind
 * another's without a hole; and the event that holds them says that it is the only one.
 *
 * A connection's direction has one place in a table, which another one may take: then both ends tell again. IPv6's own
 * addresses have none.
 */
#ifndef PROTAP_TOLD_H
#define PROTAP_TOLD_H

#define TOLD_BITS 14
/* After so many bytes the other end is heard once: behind the ring, nobody is believed to have been away for long. */
#define TOLD_MOST (8 << 20)

/* What of one direction was told by its sender. */
struct told {
	/* The sender's address, and its peer's; so with the ports. */
	__u64 addresses;
	__u32 ports;
	/* The sender opened the connection. */
	__u8 is_of_client;
	/* The other end has told all that came so far, too: so it is known whose it is. */
	__u8 is_heard;
	__u16 unused;
	/* The number behind the last one, and above it the first, in one word, as both ends may be at it at once. */
	__u64 run;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << TOLD_BITS);
	__type(key, __u32);
	__type(value, struct told);
} tolds SEC(".maps");

static __always_inline __u64 run_of(__u32 from, __u32 to)
{
	return (__u64)from << 32 | to;
}

/* The place of the direction that this end sends in, or of the other one; null if it has none. It may be another's. */
static __always_inline struct told *place_of_told(const struct ends *ends, bool is_sender, struct told *key)
{
	__u32 index;

	if (settings.has_tls || (ends->family == AF_INET6 && ends->local == bpf_htonl(LOOPBACK4_IPV6)))
		return 0;
	key->addresses = is_sender ? (__u64)ends->local << 32 | ends->remote : (__u64)ends->remote << 32 | ends->local;
	key->ports = is_sender ? (__u32)ends->local_port << 16 | ends->remote_port
			       : (__u32)ends->remote_port << 16 | ends->local_port;
	index = (key->addresses ^ key->ports) * 0x9e3779b97f4a7c15 >> (64 - TOLD_BITS);
	return bpf_map_lookup_elem(&tolds, &index);
}

static __always_inline bool is_of(const struct told *told, const struct told *key)
{
	return told->addresses == key->addresses && told->ports == key->ports;
}

static __always_inline void begin_told(struct told *told, const struct told *key, bool is_of_client, __u32 seq)
{
	*(volatile __u64 *)&told->run = run_of(seq, seq);
	told->addresses = key->addresses;
	told->ports = key->ports;
	told->is_of_client = is_of_client;
	told->is_heard = 0;
}

/* A connection was opened here. */
static __always_inline void open_told(const struct ends *ends, __u32 sent, __u32 received)
{
	struct told key, *told = place_of_told(ends, 1, &key);

	if (told)
		begin_told(told, &key, 1, sent);
	told = place_of_told(ends, 0, &key);
	if (told)
		begin_told(told, &key, 0, received);
}

/* What is told of the direction of this end, which has sent up to there. Of older connections, the lower port is the server's. */
static __always_inline struct told *told_by_sender(const struct ends *ends)
{
	struct told key, *told = place_of_told(ends, 1, &key);

	if (told && !is_of(told, &key))
		begin_told(told, &key, ends->local_port > ends->remote_port, ends->sent);
	return told;
}

/* What is told of the other direction, if anything. */
static __always_inline struct told *told_to_receiver(const struct ends *ends)
{
	struct told key, *told = place_of_told(ends, 0, &key);

	return told && is_of(told, &key) && told->is_of_client ? told : 0;
}

/* Whether bytes that were received up to there need not be told. */
static __always_inline bool is_told(const struct told *told, __u32 received, __u32 bytes)
{
	__u64 run = *(volatile __u64 *)&told->run;
	__u32 from = run >> 32, len = (__u32)run - from;

	return received - bytes - from <= len && received - from <= len;
}

/* Whether bytes that were received just now need not be told. */
static __always_inline bool need_not_tell(const struct ends *ends, __u32 bytes)
{
	struct told *told = told_to_receiver(ends);

	return told && is_told(told, ends->received, bytes);
}

/* Whether what was sent from there on comes right behind what was put out last. */
static __always_inline bool follows(const struct told *told, __u32 seq)
{
	return (__u32)*(volatile __u64 *)&told->run == seq;
}

/* The other end will leave out what was sent from there on, if the ring takes it. */
static __always_inline bool is_only(const struct told *told, __u32 seq)
{
	return told->is_of_client && told->is_heard && follows(told, seq);
}

/*
 * A call's bytes up to there were put out, or should have been. Behind a hole there may be calls at once, each of which takes
 * another's bytes for its own: nothing is left out until the other end has all that was put out by then, and has told so.
 */
static __always_inline void add_told(struct told *told, const struct event *event, __u32 end, bool is_put)
{
	__u32 from = *(volatile __u64 *)&told->run >> 32;
	bool is_next = is_put && follows(told, event->seq);

	*(volatile __u64 *)&told->run = run_of(is_next && (event->flags & EVENT_ONLY) ? from : end, end);
	if (!is_next || end - from > TOLD_MOST)
		told->is_heard = 0;
}

/* The other end has told what it received up to there. */
static __always_inline void hear(struct told *told, __u32 received)
{
	__u32 to = *(volatile __u64 *)&told->run;

	if (!told->is_heard && (__s32)(received - to) >= 0)
		told->is_heard = 1;
}

#endif
