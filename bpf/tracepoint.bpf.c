// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The front end for kernels without type information (BTF), or that refuse tp_btf: one program at the entry tracepoints of
 * the system calls that count keeps their arguments, and one at their exits has them then; others are not slowed down by it. Nothing here or in the core asks the
 * running kernel for its types; where fields lie in it, user space must know from elsewhere. 32-bit calls are not seen.
 */
#include "kernel.h"
#include "event.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define GET(type, pointer, field)                                                                                      \
	({                                                                                                             \
		type *__pointer = (pointer);                                                                           \
		BPF_CORE_READ(__pointer, field);                                                                       \
	})

#include "trace.h"

/* A task, and its call between entry and exit. */
struct thread {
	/* What the call was handed. */
	struct arguments arguments;
	__u64 began;
	__u32 is_open;
	__u32 unused;
	struct task task;
};

/* A task's room is used again for its next call, and given back when it ends. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct thread);
} threads SEC(".maps");

/* What the tracepoints of syscalls/ hand over, as their `format` files tell. */
struct entry {
	__u64 common;
	__s32 nr;
	__u32 pad;
	__u64 arguments[6];
};

struct exit {
	__u64 common;
	__s32 nr;
	__u32 pad;
	long ret;
};

static __always_inline struct files_struct *own_files(struct task_struct *task)
{
	return GET(struct task_struct, task, files);
}

static __always_inline struct thread *find_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&threads, &id);
}

/* Not inlined: of what lies on the stack, all programs together have 512 bytes. */
static __noinline struct thread *begin_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &id);
	struct thread none;

	if (thread)
		return thread;
	__builtin_memset(&none, 0, sizeof(none));
	bpf_map_update_elem(&threads, &id, &none, 0);
	return bpf_map_lookup_elem(&threads, &id);
}

static __always_inline struct task *find_task(void)
{
	struct thread *thread = find_thread();

	return thread ? &thread->task : 0;
}

static __always_inline struct task *begin_task(void)
{
	struct thread *thread = begin_thread();

	return thread ? &thread->task : 0;
}

static __always_inline void own_comm(struct task_struct *task, struct event *event)
{
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

static __always_inline struct file *file_at(struct file **files, __u32 fd)
{
	struct file *file = 0;

	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* The helper that knows wants the kernel's type information. */
static __always_inline __u64 user_stack(void)
{
	return 0;
}

SEC("tracepoint")
int on_enter(struct entry *entry)
{
	struct arguments arguments = {};
	struct thread *thread;

	if (!classify(entry->nr, &arguments) || !is_wanted_process(bpf_get_current_pid_tgid() >> 32))
		return 0;
	arguments.fd = entry->arguments[0];
	arguments.second = entry->arguments[1];
	arguments.third = entry->arguments[2];
	/* Not directly: a program that does is refused at calls that have no fourth argument. */
	if (arguments.flags_at == 4)
		bpf_probe_read_kernel(&arguments.fourth, sizeof(arguments.fourth), &entry->arguments[3]);
	if (arguments.has_name)
		bpf_probe_read_kernel(&arguments.fifth, sizeof(arguments.fifth), &entry->arguments[4]);
	thread = begin_thread();
	if (!thread) {
		count(COUNTER_UNTRACKED_CALLS, 1);
		return 0;
	}
	thread->arguments = arguments;
	thread->began = arguments.kind == EVENT_SENT ? bpf_ktime_get_ns() : 0;
	thread->is_open = 1;
	return 0;
}

SEC("tracepoint")
int on_exit(struct exit *exit)
{
	struct thread *thread = find_thread();
	struct caller caller;

	if (!thread || !thread->is_open)
		return 0;
	thread->is_open = 0;
	if (exit->ret <= 0)
		return 0;
	caller.task = (struct task_struct *)bpf_get_current_task();
	caller.id = bpf_get_current_pid_tgid();
	caller.began = thread->began;
	return on_return(&thread->arguments, &caller, exit->ret);
}

SEC("raw_tracepoint/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int old, int new)
{
	return on_change(sk, old, new);
}

SEC("raw_tracepoint/sched_process_exit")
int on_task_end(void *context)
{
	__u64 id = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&threads, &id);
	return 0;
}
