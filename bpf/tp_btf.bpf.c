// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The front ends for kernels with type information (BTF). Either one program sees all system calls end and picks its own by
 * number. Or, since 6.3, two of them see bytes be moved on sockets: then other calls cost nothing, but datagrams, whose
 * peers are not in user memory yet, are not told. The arguments are still in the task's registers. Nothing is done when a
 * call begins, and nothing kept between. Pointers of the kernel are followed without a helper call where that is possible.
 */
#include "kernel.h"
#include "event.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Since 6.2. Makes a pointer that can be followed without a helper call for each step. */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

#define GET(type, pointer, field)                                                                                      \
	({                                                                                                             \
		type *__pointer = (pointer);                                                                           \
		bpf_ksym_exists(bpf_rdonly_cast)                                                                       \
			? ((type *)bpf_rdonly_cast(__pointer, bpf_core_type_id_kernel(type)))->field                   \
			: BPF_CORE_READ(__pointer, field);                                                             \
	})

#include "trace.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task);
} tasks SEC(".maps");

static __always_inline struct files_struct *own_files(struct task_struct *task)
{
	return task->files;
}

static __always_inline struct task *begin_task(void)
{
	return bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline struct task *find_task(void)
{
	return bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);
}

static __always_inline __u64 user_stack(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, sp);
#else
	return BPF_CORE_READ(regs, user_regs.sp);
#endif
}

static __always_inline void own_comm(struct task_struct *task, struct event *event)
{
	*(__u64 *)event->comm = *(__u64 *)task->comm;
	*(__u64 *)(event->comm + 8) = *(__u64 *)(task->comm + 8);
}

/* As if it were a field of the struct that has one of this type: that needs no helper call. */
static __always_inline struct file *file_at(struct file **files, __u32 fd)
{
	struct file *file = 0;

	if (bpf_ksym_exists(bpf_rdonly_cast)) {
		void *base = (void *)(files + fd) - bpf_core_field_offset(struct fdtable, fd);

		return (struct file *)((struct fdtable *)bpf_rdonly_cast(base, bpf_core_type_id_kernel(struct fdtable)))->fd;
	}
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Numbers of 32-bit system calls mean something else. */
static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & TS_COMPAT;
#else
	return 0;
#endif
}

/* The number of the call. */
static __always_inline long call_number(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

/* Whether it is a wanted process's call that moves bytes; and what it was handed. */
static __always_inline bool is_wanted_call(struct pt_regs *regs, struct arguments *arguments, struct caller *caller)
{
	if (!classify(call_number(regs), arguments))
		return 0;
	if (!caller->task)
		caller->task = bpf_get_current_task_btf();
	caller->id = (__u64)caller->task->tgid << 32 | (__u32)caller->task->pid;
	if (!is_wanted_process(caller->id >> 32))
		return 0;
	if (is_compat(caller->task)) {
		count(COUNTER_COMPAT_CALLS, 1);
		return 0;
	}
	arguments->fd = PT_REGS_PARM1_SYSCALL(regs);
	arguments->second = PT_REGS_PARM2_SYSCALL(regs);
	arguments->third = PT_REGS_PARM3_SYSCALL(regs);
	arguments->fourth = PT_REGS_PARM4_SYSCALL(regs);
	arguments->fifth = PT_REGS_PARM5_SYSCALL(regs);
	return 1;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct arguments arguments = {};
	struct caller caller = {};

	/* Most calls end here. */
	if (ret <= 0 || !is_wanted_call(regs, &arguments, &caller))
		return 0;
	return on_return(&arguments, &caller, ret);
}

/*
 * Whether the task is in the system call of which its registers tell. It is not where io_uring's work is done behind a call,
 * whose result is known then, nor in the kernel's own threads.
 */
static __always_inline bool is_in_call(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return (long)regs->ax == -NOT_RETURNED;
#else
	return 0;
#endif
}

/* Where on its stack a task's registers lie. It is the same for all tasks, and asked once, as that is a call of a helper. */
static __u64 registers_at;

static __always_inline struct pt_regs *registers_of(struct task_struct *task)
{
	__u64 stack = (__u64)task->stack;

	if (!registers_at) {
		struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
		__u64 address = 0;

		/* To the verifier a number: it calculates with no others. */
		bpf_probe_read_kernel(&address, sizeof(address), &regs);
		registers_at = address - stack;
	}
	return bpf_rdonly_cast((void *)(stack + registers_at), bpf_core_type_id_kernel(struct pt_regs));
}

/* Bytes were moved on a socket, by whomever: told if it was a call on just this socket. */
static __always_inline int on_length(struct sock *sk, int ret, __u32 kind)
{
	struct arguments arguments = {};
	struct caller caller = {};
	struct pt_regs *regs;
	struct ends ends;

	if (ret <= 0 || !find_ends(sk, &ends) || ends.is_datagram)
		return 0;
	find_positions(sk, &ends);
	if (kind == EVENT_RECEIVED && need_not_tell(&ends, ret))
		return 0;
	caller.task = bpf_get_current_task_btf();
	regs = registers_of(caller.task);
	if (!is_in_call(regs) || !is_wanted_call(regs, &arguments, &caller) || arguments.kind != kind)
		return 0;
	/* The kernel has sockets of its own, and may use them in a call on a file. */
	if (takes_nothing(&arguments) || socket_of(caller.task, arguments.fd) != sk)
		return 0;
	if (arguments.is_messages && arguments.third > 1) {
		/* Which of the messages it was is not known. */
		count(COUNTER_UNTRACKED_CALLS, 1);
		return 0;
	}
	arguments.is_header |= arguments.is_messages;
	arguments.is_messages = 0;
	return on_moved(sk, &ends, &arguments, &caller, ret);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
	return on_length(sk, ret, EVENT_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int ret, int flags)
{
	return on_length(sk, ret, EVENT_RECEIVED);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old, int new)
{
	return on_change(sk, old, new);
}
