/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which processes, ports and sockets are looked at, and what a socket is: from a descriptor to its socket, from there to its
 * ends and its positions. Nothing here has a memory of its own.
 */
#ifndef PROTAP_SOCKET_H
#define PROTAP_SOCKET_H

static __always_inline bool is_wanted_process(__u32 tgid)
{
	if (tgid == settings.own_tgid)
		return 0;
	if (!settings.filters || settings.filters == FILTER_PORT)
		return 1;
	if ((settings.filters & FILTER_PID) && bpf_map_lookup_elem(&pids, &tgid))
		return 1;
	if (settings.filters & FILTER_COMM) {
		struct comm comm = {};

		bpf_get_current_comm(&comm, sizeof(comm));
		if (bpf_map_lookup_elem(&comms, &comm))
			return 1;
	}
	return (settings.filters & FILTER_CGROUP) && bpf_current_task_under_cgroup(&cgroups, 0) == 1;
}

static __always_inline __u32 rule_of(const struct port_rules *rules, __u64 port)
{
	/* The compiler knows that a port is no larger and would leave the mask out; the verifier of 6.1 does not. */
	asm volatile("" : "+r"(port));
	return rules->of[port & 0xffff];
}

static __always_inline bool is_wanted_port(__u16 local, __u16 remote)
{
	__u32 zero = 0, of_local, of_remote;
	struct port_rules *rules;

	if (!(settings.filters & FILTER_PORT) && !settings.has_excluded_ports)
		return 1;
	rules = bpf_map_lookup_elem(&ports, &zero);
	if (!rules)
		return 0;
	of_local = rule_of(rules, local);
	of_remote = rule_of(rules, remote);
	if (of_local == PORT_EXCLUDED || of_remote == PORT_EXCLUDED)
		return 0;
	return !(settings.filters & FILTER_PORT) || of_local || of_remote;
}

static __always_inline struct sock *socket_of(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = GET(struct files_struct, own_files(task), fdt);
	struct file **files, *file;
	struct inode *inode;
	struct socket *socket;

	if (fd >= GET(struct fdtable, fdt, max_fds))
		return 0;
	files = GET(struct fdtable, fdt, fd);
	file = file_at(files, fd);
	if (!file)
		return 0;
	inode = GET(struct file, file, f_inode);
	if ((GET(struct inode, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = GET(struct file, file, private_data);
	return GET(struct socket, socket, sk);
}

/* What a TCP or UDP socket is, and where. */
struct ends {
	/* IPv4 addresses, in network byte order. */
	__u32 local;
	__u32 remote;
	/* How far a TCP socket's streams have come, once that was looked at. */
	__u32 sent;
	__u32 received;
	/* As that of an event. */
	__u32 first;
	__u16 family;
	__u16 local_port;
	__u16 remote_port;
	bool is_datagram;
};

/* False if it is neither, or its port is not wanted. */
static __always_inline bool find_ends(struct sock *sk, struct ends *ends)
{
	__u32 protocol;

	ends->family = GET(struct sock, sk, __sk_common.skc_family);
	if (ends->family != AF_INET && ends->family != AF_INET6)
		return 0;
	protocol = GET(struct sock, sk, sk_protocol);
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return 0;
	ends->is_datagram = protocol == IPPROTO_UDP;
	ends->first = 0;
	/* skc_num is 0 already when a connection's end is told. */
	ends->local_port = bpf_ntohs(GET(struct inet_sock, (struct inet_sock *)sk, inet_sport));
	ends->remote_port = bpf_ntohs(GET(struct sock, sk, __sk_common.skc_dport));
	ends->local = GET(struct sock, sk, __sk_common.skc_rcv_saddr);
	ends->remote = GET(struct sock, sk, __sk_common.skc_daddr);
	/* The peers of a UDP socket that is not connected are named by each call. */
	if (ends->is_datagram && !ends->remote_port)
		return 1;
	return ends->remote_port && is_wanted_port(ends->local_port, ends->remote_port);
}

/* Fills in whose event it is; the rest is that of the call. */
static __always_inline void describe(struct sock *sk, const struct ends *ends, struct event *event)
{
	event->socket = (__u64)sk;
	event->family = ends->family;
	event->flags = ends->is_datagram ? EVENT_DATAGRAM : 0;
	event->local_port = ends->local_port;
	event->remote_port = ends->remote_port;
	event->missing = 0;
	event->first = ends->first;
	if (ends->family == AF_INET) {
		__builtin_memset(event->local, 0, sizeof(event->local) + sizeof(event->remote));
		*(__u32 *)event->local = ends->local;
		*(__u32 *)event->remote = ends->remote;
	} else {
		bpf_probe_read_kernel(event->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(event->remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
}

static __always_inline bool has_fin(struct sock *sk)
{
	return GET(struct sock, sk, __sk_common.skc_flags) & (1 << SOCK_DONE);
}

/* How far the streams of a TCP socket have come. */
static __always_inline void find_positions(struct sock *sk, struct ends *ends)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	/* Before the number that it counts in. */
	bool is_over = has_fin(sk);
	__u32 next = GET(struct tcp_sock, tcp, rcv_nxt);

	/* A packet that comes just now may be counted in one of the two only: that is rare, and no harm. */
	ends->first = next - (__u32)GET(struct tcp_sock, tcp, bytes_received);
	ends->received = end_of_received(GET(struct tcp_sock, tcp, copied_seq), next, is_over);
	ends->sent = end_of_sent(GET(struct tcp_sock, tcp, write_seq), GET(struct sock, sk, __sk_common.skc_state));
}

/* Says which bytes of the stream a call moved that has just ended: the last ones before the socket's position. */
static __always_inline void place(const struct ends *ends, struct event *event, __u64 bytes)
{
	if (event->kind == EVENT_SENT) {
		event->seq = ends->sent - bytes;
		event->ack = ends->received;
	} else {
		event->seq = ends->received - bytes;
		event->ack = ends->sent;
	}
}

/* The kernel's TLS and the like: what a call moves is not what TCP counts. */
static __always_inline bool has_upper_layer(struct sock *sk)
{
	return GET(struct inet_connection_sock, (struct inet_connection_sock *)sk, icsk_ulp_ops);
}

/*
 * When it was, as TCP has noted, which is cheaper than to look at a clock. What was received, when it was taken. What was sent,
 * when its last packet left, since that was before anybody could answer it; of what has not left at all, nobody knows
 * yet. `began` is better, where it is known.
 */
static __always_inline __u64 time_of(struct sock *sk, const struct event *event, __u64 began)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 left, noted;

	if (event->kind == EVENT_SENT && began)
		return began;
	if (event->flags & EVENT_DATAGRAM)
		return bpf_ktime_get_ns();
	noted = GET(struct tcp_sock, tcp, tcp_clock_cache);
	if (event->kind != EVENT_SENT)
		return noted;
	if (!has_left(GET(struct tcp_sock, tcp, snd_nxt), event->seq))
		return bpf_ktime_get_ns();
	/* Where packets are paced, the next one's time is noted, which may have yet to come. */
	left = GET(struct tcp_sock, tcp, tcp_wstamp_ns);
	return left < noted ? left : noted;
}

static __always_inline bool is_muted(__u64 socket, __u32 first)
{
	__u32 zero = 0, *muting = bpf_map_lookup_elem(&is_muting, &zero), *of;

	if (!muting || !*muting)
		return 0;
	of = bpf_map_lookup_elem(&muted, &socket);
	return of && *of == first;
}

#endif
