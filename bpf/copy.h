/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The bytes of one system call, cut into events: one buffer, an array of iovecs, or an array of messages of iovecs in,
 * chunks of at most EVENT_CHUNK bytes out, each with the sequence number of its first byte. What is over the cap or
 * cannot be read is not lost from the count: the last chunk says how many bytes are missing behind it. Datagrams are not
 * joined: each is one chunk, with its own peer and number, and what does not fit into that is missing.
 *
 * Nothing here is of BPF. Whoever includes it defines the three functions below; the tests do so natively. The state
 * lies in memory that the verifier does not follow, so every use of a length is preceded by its check.
 */
#ifndef PROTAP_COPY_H
#define PROTAP_COPY_H

/* An event under construction. Twice the chunk: the verifier adds the bounds of fill and length. */
struct chunk {
	struct event event;
	__u8 payload[2 * EVENT_CHUNK];
};

/* How far a call's bytes have been walked. */
struct walk {
	/* The buffer: what is left of it. */
	__u64 base;
	__u64 piece;
	/* iovecs not begun. */
	__u64 vec;
	__u64 vecs;
	/* Bytes of the message (or of the call) that are left. */
	__u64 left;
	/* Messages not begun. */
	__u64 msgs;
	__u64 msg_count;
	/* Bytes that may still be copied. */
	__u64 budget;
	/* Bytes in the chunk. */
	__u64 fill;
	/* Bytes not copied, since the last chunk that said so. */
	__u64 missing;
	__u64 over_cap;
	__u64 faulted;
	__u32 is_over;
	/* What is walked are datagrams. */
	__u32 is_datagrams;
	/* One is begun and not put out. */
	__u32 has_datagram;
	/* Number of the next one. */
	__u32 number;
};

/* 0 on success. */
static long read_user(void *to, __u32 len, __u64 from);
static void put_chunk(struct chunk *chunk, __u32 payload);
/* The peer of a datagram, from a socket address; 0 if the call names none. */
static void name_peer(struct event *event, __u64 name);

static inline void give_up(struct walk *walk, __u64 *cause)
{
	*cause += walk->left;
	walk->missing += walk->left;
	walk->left = 0;
}

static inline void flush(struct walk *walk, struct chunk *chunk)
{
	__u64 fill = walk->fill;

	if (fill > EVENT_CHUNK)
		return;
	chunk->event.len = fill;
	put_chunk(chunk, fill);
	chunk->event.seq += fill;
	walk->fill = 0;
}

static inline void end_datagram(struct walk *walk, struct chunk *chunk)
{
	chunk->event.seq = walk->number++;
	chunk->event.missing = walk->missing;
	flush(walk, chunk);
	walk->missing = 0;
	walk->budget = EVENT_CHUNK;
	walk->has_datagram = 0;
}

static inline void next_message(struct walk *walk, struct chunk *chunk)
{
	struct mmsghdr msg;

	walk->msg_count--;
	if (read_user(&msg, sizeof(msg), walk->msgs)) {
		/* How long this one and those behind it are is not known: what follows shows it as a hole. */
		walk->msg_count = 0;
		return;
	}
	walk->msgs += sizeof(msg);
	walk->vec = msg.hdr.iov;
	walk->vecs = msg.hdr.iovlen;
	walk->left = msg.len;
	walk->piece = 0;
	if (walk->is_datagrams) {
		walk->has_datagram = 1;
		name_peer(&chunk->event, msg.hdr.name);
	}
}

static inline void next_iovec(struct walk *walk)
{
	struct iovec vec;

	if (!walk->vecs || read_user(&vec, sizeof(vec), walk->vec)) {
		give_up(walk, &walk->faulted);
		return;
	}
	walk->vecs--;
	walk->vec += sizeof(vec);
	walk->base = vec.base;
	walk->piece = vec.len;
}

static inline void copy_piece(struct walk *walk, struct chunk *chunk)
{
	__u64 fill = walk->fill, len = walk->piece;

	if (fill >= EVENT_CHUNK)
		return;
	if (len > walk->left)
		len = walk->left;
	if (len > walk->budget)
		len = walk->budget;
	if (len > EVENT_CHUNK - fill)
		len = EVENT_CHUNK - fill;
	/* The compiler knows this already and would leave it out; the verifier of 6.1 does not. */
	asm volatile("" : "+r"(len));
	if (len > EVENT_CHUNK)
		return;
	if (read_user(chunk->payload + fill, len, walk->base)) {
		give_up(walk, &walk->faulted);
		walk->budget = 0;
		return;
	}
	walk->base += len;
	walk->piece -= len;
	walk->left -= len;
	walk->budget -= len;
	walk->fill = fill + len;
	if (walk->fill == EVENT_CHUNK && walk->left && walk->budget)
		flush(walk, chunk);
}

static inline int end_walk(struct walk *walk, struct chunk *chunk)
{
	if (!walk->is_datagrams) {
		chunk->event.missing = walk->missing;
		flush(walk, chunk);
	}
	walk->is_over = 1;
	return 1;
}

/* One step; 1 once all is done. */
static inline int copy_step(struct walk *walk, struct chunk *chunk)
{
	if (!walk->left) {
		if (walk->has_datagram)
			end_datagram(walk, chunk);
		else if (!walk->msg_count)
			return end_walk(walk, chunk);
		if (walk->msg_count)
			next_message(walk, chunk);
		return 0;
	}
	if (!walk->budget || walk->faulted)
		give_up(walk, walk->faulted ? &walk->faulted : &walk->over_cap);
	else if (!walk->piece)
		next_iovec(walk);
	else if (walk->fill == EVENT_CHUNK)
		flush(walk, chunk);
	else
		copy_piece(walk, chunk);
	return 0;
}

#endif
