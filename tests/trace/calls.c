/*
 * What a system call costs a process that nobody traces: calls.c prints the CPU time of one getppid(), and of one send() or
 * recv() of 64 bytes on a loopback connection of its own, in nanoseconds, each the least of 15 rounds.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ends[2];

static void getppid_once(void)
{
	syscall(SYS_getppid);
}

/* Two calls. */
static void exchange(void)
{
	char bytes[64] = {};

	if (send(ends[0], bytes, sizeof(bytes), 0) != sizeof(bytes) || recv(ends[1], bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes))
		exit(1);
}

static double least(void (*call)(void), int times)
{
	double best = 1e18;

	for (int round = 0; round < 15; round++) {
		double begin = now();

		for (int i = 0; i < times; i++)
			call();
		if (now() - begin < best)
			best = now() - begin;
	}
	return best / times;
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server, (void *)&at, len) || listen(server, 1) || getsockname(server, (void *)&at, &len) ||
	    connect(ends[0], (void *)&at, len) || (ends[1] = accept(server, 0, 0)) < 0)
		return 1;
	setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	printf("%.1f ", least(getppid_once, 20000));
	printf("%.1f\n", least(exchange, 2000) / 2);
	return 0;
}
