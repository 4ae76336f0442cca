// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * calls.h, natively: every system call with what its descriptor, buffer and flags are, as its manual page has them, and every
 * change of state that TCP makes (RFC 9293, section 3.3.2).
 */
#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#define __TARGET_ARCH_x86
#else
#define __TARGET_ARCH_arm64
#endif
#ifndef __always_inline
#define __always_inline inline
#endif

#include "../kernel.h"
#include "../event.h"
#include "../calls.h"

static void check(bool is_so, const char *what, long number)
{
	if (is_so)
		return;
	printf("not so: %s, %ld\n", what, number);
	exit(1);
}

static const struct {
	long nr;
	__u32 kind, is_messages, is_vector, is_header, flags_at;
} calls[] = {
	{ NR_read, EVENT_RECEIVED }, { NR_write, EVENT_SENT },
	{ NR_readv, EVENT_RECEIVED, .is_vector = 1 }, { NR_writev, EVENT_SENT, .is_vector = 1 },
	{ NR_recvfrom, EVENT_RECEIVED, .flags_at = 4 }, { NR_sendto, EVENT_SENT },
	{ NR_recvmsg, EVENT_RECEIVED, .is_header = 1, .flags_at = 3 }, { NR_sendmsg, EVENT_SENT, .is_header = 1 },
	{ NR_recvmmsg, EVENT_RECEIVED, .is_messages = 1, .flags_at = 4 }, { NR_sendmmsg, EVENT_SENT, .is_messages = 1 },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void test_calls(void)
{
	int known = 0;

	for (long nr = -1; nr < 1000; nr++) {
		struct arguments arguments = {};

		known += classify(nr, &arguments);
	}
	check(known == CALLS, "as many calls as there are", known);
	for (int i = 0; i < CALLS; i++) {
		struct arguments is = {};

		check(classify(calls[i].nr, &is), "it is one of ours", calls[i].nr);
		check(is.kind == calls[i].kind, "its direction", calls[i].nr);
		check(is.is_messages == calls[i].is_messages && is.is_vector == calls[i].is_vector &&
			      is.is_header == calls[i].is_header, "its buffer's form", calls[i].nr);
		check(is.flags_at == calls[i].flags_at, "where its flags are", calls[i].nr);
		is.third = 3;
		is.fourth = 4;
		check(flags_of(&is) == calls[i].flags_at, "its flags", calls[i].nr);
	}
}

static void test_positions(void)
{
	check(end_of_sent(110, TCP_ESTABLISHED) == 110 && end_of_sent(110, TCP_CLOSE_WAIT) == 110, "all of it are bytes", 110);
	check(end_of_sent(110, TCP_CLOSE) == 110, "a reset is no byte", 110);
	for (int state = TCP_FIN_WAIT1; state <= TCP_CLOSING; state++)
		if (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_LAST_ACK || state == TCP_CLOSING)
			check(end_of_sent(0, state) == 0xffffffff, "a FIN was sent behind them", state);
	check(end_of_received(110, 110, 0) == 110, "all of it was read", 110);
	check(end_of_received(110, 200, 0) == 110, "more is there", 110);
	check(end_of_received(110, 111, 1) == 110, "the FIN came, and is not read yet", 110);
	check(end_of_received(111, 111, 1) == 110, "it is", 111);
	check(has_left(11, 10) && !has_left(10, 10) && !has_left(9, 10), "the first byte left", 10);
	check(has_left(5, 0xfffffff0) && !has_left(0xfffffff0, 5), "numbers wrap", 5);
}

static void test_states(void)
{
	check(kind_of_change(TCP_SYN_SENT, TCP_ESTABLISHED) == EVENT_OPENED, "it asked", 0);
	check(kind_of_change(TCP_SYN_RECV, TCP_ESTABLISHED) == EVENT_ACCEPTED, "it was asked", 0);
	check(kind_of_change(TCP_ESTABLISHED, TCP_FIN_WAIT1) == EVENT_FIN_SENT, "closes first", 0);
	check(kind_of_change(TCP_CLOSE_WAIT, TCP_LAST_ACK) == EVENT_FIN_SENT, "closes last", 0);
	check(kind_of_change(TCP_ESTABLISHED, TCP_CLOSE_WAIT) == EVENT_FIN_RECEIVED, "the peer closes first", 0);
	check(kind_of_change(TCP_FIN_WAIT1, TCP_CLOSING) == EVENT_FIN_RECEIVED, "both close at once", 0);
	check(kind_of_change(TCP_FIN_WAIT2, TCP_CLOSE) == EVENT_FIN_RECEIVED, "the peer closes last", 0);
	check(kind_of_change(TCP_LAST_ACK, TCP_CLOSE) == EVENT_GONE, "all is over", 0);
	check(kind_of_change(TCP_CLOSING, TCP_CLOSE) == EVENT_GONE, "all is over, of both at once", 0);
	check(!kind_of_change(TCP_FIN_WAIT1, TCP_FIN_WAIT2), "an ACK of a FIN says nothing", 0);
	check(!kind_of_change(TCP_SYN_SENT, TCP_CLOSE), "nobody answered", 0);
	check(!kind_of_change(TCP_CLOSE, TCP_SYN_SENT), "it asks", 0);
	for (int old = TCP_ESTABLISHED; old <= TCP_CLOSING; old++)
		if (old == TCP_ESTABLISHED || old == TCP_FIN_WAIT1 || old == TCP_CLOSE_WAIT)
			check(kind_of_change(old, TCP_CLOSE) == EVENT_RESET, "a reset", old);
	check(kind_of_end(EVENT_FIN_RECEIVED, TCP_CLOSE, 1, 0) == EVENT_FIN_RECEIVED, "the FIN came", 0);
	check(kind_of_end(EVENT_FIN_RECEIVED, TCP_CLOSE, 0, 0) == EVENT_GONE, "nobody waits for it", 0);
	check(kind_of_end(EVENT_FIN_RECEIVED, TCP_CLOSE, 0, 104) == EVENT_RESET, "a reset came", 0);
	check(kind_of_end(EVENT_FIN_RECEIVED, TCP_CLOSE_WAIT, 0, 0) == EVENT_FIN_RECEIVED, "the first FIN", 0);
	check(kind_of_end(EVENT_RESET, TCP_CLOSE, 1, 104) == EVENT_RESET, "a reset is one", 0);
}

int main(void)
{
	test_calls();
	test_positions();
	test_states();
	return 0;
}
