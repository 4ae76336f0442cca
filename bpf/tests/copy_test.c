// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * copy.h, natively: memory that can be made unreadable instead of a user's, a buffer instead of the ring. Whatever the
 * layout of a call's bytes, the chunks must put them together again, and what is not there must be counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

struct iovec {
	__u64 base, len;
};

struct user_msghdr {
	__u64 name, namelen, iov, iovlen, control, controllen, flags;
};

struct mmsghdr {
	struct user_msghdr hdr;
	__u32 len, pad;
};

#include "../event.h"
#include "../copy.h"

static const __u8 *unreadable;
static __u8 got[4 << 20];
static __u32 got_end, missing, chunks, first_seq = 0xfffff000;

static long read_user(void *to, __u32 len, __u64 from)
{
	const __u8 *begin = (const __u8 *)from;

	if (!begin || (unreadable && begin <= unreadable && unreadable < begin + len))
		return -14;
	memcpy(to, begin, len);
	return 0;
}

static void name_peer(struct event *event, __u64 name)
{
	event->remote_port = name;
}

static __u32 datagrams, datagram_lens[8], datagram_ports[8], datagram_missing[8];

static void put_chunk(struct chunk *chunk, __u32 payload)
{
	if (chunk->event.flags & EVENT_DATAGRAM) {
		if (chunk->event.seq != 7 + datagrams || memcmp(chunk->payload, got + 100 * datagrams, 5)) {
			printf("datagram %u of %u bytes, number %u\n", datagrams, payload, chunk->event.seq);
			exit(1);
		}
		datagram_ports[datagrams] = chunk->event.remote_port;
		datagram_missing[datagrams] = chunk->event.missing;
		datagram_lens[datagrams++] = payload;
		return;
	}
	if (payload != chunk->event.len || payload > EVENT_CHUNK || chunk->event.seq != first_seq + got_end) {
		printf("chunk of %u bytes at %u, expected at %u\n", payload, chunk->event.seq - first_seq, got_end);
		exit(1);
	}
	memcpy(got + got_end, chunk->payload, payload);
	got_end += payload;
	missing += chunk->event.missing;
	chunks++;
}

static void run(struct walk *walk, const char *name, const __u8 *expected, __u32 len, __u32 lost)
{
	static struct chunk chunk;
	int steps = 0;

	memset(&chunk, 0, sizeof(chunk));
	chunk.event.seq = first_seq;
	got_end = missing = chunks = 0;
	while (!copy_step(walk, &chunk))
		if (++steps > 1 << 17) {
			printf("%s: no end\n", name);
			exit(1);
		}
	if (got_end != len || memcmp(got, expected, len) || missing != lost) {
		printf("%s: %u bytes of %u, %u missing of %u\n", name, got_end, len, missing, lost);
		exit(1);
	}
	printf("ok %s: %u bytes in %u chunks, %u missing, %d steps\n", name, got_end, chunks, missing, steps);
}

static __u8 bytes[3 << 20];

static struct walk plain(__u32 len, __u64 cap)
{
	return (struct walk){ .base = (__u64)bytes, .piece = len, .left = len, .budget = cap };
}

static __u32 split(struct iovec *vec, __u32 pieces, __u32 len)
{
	for (__u32 i = 0; i < pieces; i++) {
		__u32 begin = (__u64)len * i / pieces, end = (__u64)len * (i + 1) / pieces;

		vec[i] = (struct iovec){ (__u64)(bytes + begin), end - begin };
	}
	return pieces;
}

/* Two messages and a long one: three chunks, each with its number and its peer. */
static void run_datagrams(void)
{
	static struct chunk chunk;
	struct iovec vec[3] = { { (__u64)got, 50 }, { (__u64)(got + 100), 50 }, { (__u64)(got + 200), 20000 } };
	struct mmsghdr msgs[3] = {};
	__u32 lens[3] = { 50, 5, 20000 };
	struct walk walk = { .msgs = (__u64)msgs, .msg_count = 3, .budget = EVENT_CHUNK, .is_datagrams = 1, .number = 7 };

	for (int i = 0; i < 3; i++) {
		msgs[i].hdr = (struct user_msghdr){ .name = 1000 + i, .iov = (__u64)&vec[i], .iovlen = 1 };
		msgs[i].len = lens[i];
		memset(got + 100 * i, 'a' + i, 50);
	}
	chunk.event.flags = EVENT_DATAGRAM;
	while (!copy_step(&walk, &chunk))
		;
	for (__u32 i = 0; i < 3; i++) {
		__u32 len = lens[i] < EVENT_CHUNK ? lens[i] : EVENT_CHUNK;

		if (datagrams != 3 || datagram_lens[i] != len || datagram_missing[i] != lens[i] - len ||
		    datagram_ports[i] != 1000 + i) {
			printf("datagram %u: %u bytes, %u missing\n", i, datagram_lens[i], datagram_missing[i]);
			exit(1);
		}
	}
	printf("ok datagrams\n");
}

int main(void)
{
	static struct iovec vec[1024];
	struct mmsghdr msgs[3] = {};
	struct walk walk;
	__u32 sizes[] = { 1, 2, EVENT_CHUNK - 1, EVENT_CHUNK, EVENT_CHUNK + 1, 3 * EVENT_CHUNK, 1 << 20 };

	for (__u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 2654435761u >> 13;
	for (int i = 0; i < 7; i++) {
		walk = plain(sizes[i], 16 << 20);
		run(&walk, "one buffer", bytes, sizes[i], 0);
	}
	walk = plain(1 << 20, 10000);
	run(&walk, "over the cap", bytes, 10000, (1 << 20) - 10000);
	walk = plain(5, 0);
	run(&walk, "nothing wanted", bytes, 0, 5);
	for (__u32 pieces = 1; pieces <= 1024; pieces *= 4) {
		walk = (struct walk){ .vec = (__u64)vec, .vecs = split(vec, pieces, 100000), .left = 100000, .budget = 1 << 20 };
		run(&walk, "iovecs", bytes, 100000, 0);
		/* The call moved less than there was room for. */
		walk = (struct walk){ .vec = (__u64)vec, .vecs = split(vec, pieces, 100000), .left = 12345, .budget = 1 << 20 };
		run(&walk, "iovecs, in part", bytes, 12345, 0);
	}
	split(vec, 10, 1000);
	vec[3].len = 0;
	vec[4] = (struct iovec){ (__u64)(bytes + 300), 200 };
	walk = (struct walk){ .vec = (__u64)vec, .vecs = 10, .left = 1000, .budget = 1 << 20 };
	run(&walk, "an empty iovec", bytes, 1000, 0);
	walk = (struct walk){ .vec = (__u64)vec, .vecs = 2, .left = 1000, .budget = 1 << 20 };
	run(&walk, "fewer iovecs than bytes", bytes, 200, 800);
	unreadable = bytes + 550;
	walk = (struct walk){ .vec = (__u64)vec, .vecs = 10, .left = 1000, .budget = 1 << 20 };
	run(&walk, "an iovec that cannot be read", bytes, 500, 500);
	unreadable = 0;
	walk = (struct walk){ .base = 0, .piece = 100, .left = 100, .budget = 1 << 20 };
	run(&walk, "a discarded read", bytes, 0, 100);
	for (int i = 0; i < 3; i++) {
		vec[i] = (struct iovec){ (__u64)(bytes + 5000 * i), 9000 };
		msgs[i].hdr.iov = (__u64)&vec[i];
		msgs[i].hdr.iovlen = 1;
		msgs[i].len = 5000;
	}
	walk = (struct walk){ .msgs = (__u64)msgs, .msg_count = 3, .budget = 1 << 20 };
	run(&walk, "messages", bytes, 15000, 0);
	walk = (struct walk){ .msgs = (__u64)msgs, .msg_count = 3, .budget = 7000 };
	run(&walk, "messages over the cap", bytes, 7000, 8000);
	run_datagrams();
	return 0;
}
