/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An event with its payload, copied from user memory straight into the ring. Room can be had in sizes that are known when the
 * program is loaded, so there are four; what is not used of one is skipped by user space, as `len` says.
 */
#ifndef PROTAP_PUT_H
#define PROTAP_PUT_H

#define PUT_IN(room, header, number, from, bytes, lost)                                                                \
	({                                                                                                             \
		struct {                                                                                               \
			struct event event;                                                                            \
			__u8 payload[room];                                                                            \
		} *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);                                          \
		__u64 len = bytes;                                                                                     \
                                                                                                                       \
		/* The compiler knows that it fits and would leave the check out; the verifier of 6.1 has forgotten. */ \
		asm volatile("" : "+r"(len));                                                                          \
		if (len > room)                                                                                        \
			len = room;                                                                                    \
		if (record) {                                                                                          \
			record->event = *(header);                                                                     \
			record->event.seq = number;                                                                    \
			record->event.len = len;                                                                       \
			record->event.missing = lost;                                                                  \
			is_whole = !bpf_probe_read_user(record->payload, len, (void *)(from));                         \
			if (!is_whole) {                                                                               \
				record->event.len = 0;                                                                 \
				record->event.missing = len + (lost);                                                  \
				count(COUNTER_FAULT_BYTES, len);                                                       \
			}                                                                                              \
			bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);                                                  \
		}                                                                                                      \
		!!record;                                                                                              \
	})

/* Puts out at most a chunk; behind it, `lost` bytes are missing. False if its own bytes are, too. */
static __always_inline bool put(const struct event *header, __u32 seq, __u64 from, __u64 size, __u32 lost)
{
	bool is_put, is_whole = 0;

	if (size > EVENT_CHUNK)
		return 0;
	if (size <= 56)
		is_put = PUT_IN(56, header, seq, from, size, lost);
	else if (size <= 440)
		is_put = PUT_IN(440, header, seq, from, size, lost);
	else if (size <= 2040)
		is_put = PUT_IN(2040, header, seq, from, size, lost);
	else
		is_put = PUT_IN(EVENT_CHUNK, header, seq, from, size, lost);
	if (!is_put) {
		count(COUNTER_RING_EVENTS, 1);
		count(COUNTER_RING_BYTES, size);
	}
	return is_whole;
}

#endif
