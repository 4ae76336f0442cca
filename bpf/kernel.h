/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs use of the kernel's types, written by hand: of each struct only the fields that are read, in any
 * order, since libbpf relocates them to the running kernel's layout (CO-RE). No kernel headers are needed to build.
 */
#ifndef PROTAP_KERNEL_H
#define PROTAP_KERNEL_H

/* Keeps bpf_tracing.h from using the user-space names of registers. */
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

/* ENOSYS: what the register of a call's result holds, negative, until there is one. */
#define NOT_RETURNED 38

enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

struct thread_info {
	__u32 status;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
};

struct pt_regs {
	struct user_pt_regs user_regs;
	__u64 orig_x0;
	__s32 syscallno;
};
#endif

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
#if defined(__TARGET_ARCH_x86)
	struct thread_info thread_info;
#endif
	__s32 pid;
	__s32 tgid;
	void *stack;
	struct files_struct *files;
	char comm[16];
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	int sk_err;
};

struct inet_sock {
	__be16 inet_sport;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_sock {
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_nxt;
	__u64 bytes_received;
	__u64 tcp_wstamp_ns;
	__u64 tcp_clock_cache;
};

struct socket {
	struct sock *sk;
};

#pragma clang attribute pop

/* What user space lays out; it never changes. */
struct iovec {
	__u64 base;
	__u64 len;
};

struct user_msghdr {
	__u64 name;
	__u64 namelen;
	__u64 iov;
	__u64 iovlen;
	__u64 control;
	__u64 controllen;
	__u64 flags;
};

struct mmsghdr {
	struct user_msghdr hdr;
	__u32 len;
	__u32 pad;
};

/* sockaddr_in, sockaddr_in6. */
struct sockaddr_any {
	__u16 family;
	__be16 port;
	__u32 ipv4_or_flow_info;
	__u8 ipv6[16];
};

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	MSG_OOB = 0x1,
	MSG_PEEK = 0x2,
	MSG_TRUNC = 0x20,
	MSG_ERRQUEUE = 0x2000,
	/* arch/x86/include/asm/thread_info.h: the task is in a 32-bit system call. */
	TS_COMPAT = 2,
	/* enum sock_flags: the peer's FIN was received. */
	SOCK_DONE = 1,
	/* include/linux/in6.h: what a socket of IPv6's own addresses has for its IPv4 address; 127.0.0.6. */
	LOOPBACK4_IPV6 = 0x7f000006,
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_CLOSING = 11,
};

/* Numbers of the system calls (64-bit tables). */
#if defined(__TARGET_ARCH_x86)
enum {
	NR_read = 0, NR_write = 1, NR_readv = 19, NR_writev = 20, NR_sendto = 44, NR_recvfrom = 45, NR_sendmsg = 46,
	NR_recvmsg = 47, NR_recvmmsg = 299, NR_sendmmsg = 307,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_read = 63, NR_write = 64, NR_readv = 65, NR_writev = 66, NR_sendto = 206, NR_recvfrom = 207, NR_sendmsg = 211,
	NR_recvmsg = 212, NR_recvmmsg = 243, NR_sendmmsg = 269,
};
#else
#error "no system call numbers for this architecture"
#endif

#endif
