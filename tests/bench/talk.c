/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of every benchmark: plain blocking sockets, so that what is timed is the kernel.
 *
 *   talk serve ADDRESS PORT                      one connection after the other, transparent
 *   talk rtt ADDRESS PORT SIZE COUNT             prints seconds per round trip
 *   talk bulk up|down ADDRESS PORT BYTES         prints bytes per second
 *   talk connect ADDRESS PORT COUNT first|last   prints connections per second; the client
 *                                                closes first, or the server does, so that
 *                                                TIME_WAIT is on the client's or the proxy's side
 *   talk send ADDRESS PORT COUNT                 prints seconds per datagram that is sent
 *
 * CONGESTION in the environment names the congestion control (tcp(7)) of what it opens.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536

struct order {
	uint32_t what;   /* 'r' echo messages of size, 'u' read bytes, 'd' send bytes,
			  * 'c' answer and close, 'w' answer and wait for the client to close */
	uint32_t size;
	uint64_t bytes;
};

static char buffer[CHUNK];

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int read_all(int fd, void *to, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = recv(fd, (char *)to + got, size - got, 0);
		if (n <= 0)
			return 0;
		got += n;
	}
	return 1;
}

static int write_all(int fd, const void *from, size_t size)
{
	size_t sent = 0;

	while (sent < size) {
		ssize_t n = send(fd, (const char *)from + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			return 0;
		sent += n;
	}
	return 1;
}

static int pass(int fd, uint64_t bytes, int up)
{
	while (bytes) {
		size_t size = bytes < CHUNK ? bytes : CHUNK;
		ssize_t n = up ? send(fd, buffer, size, MSG_NOSIGNAL) : recv(fd, buffer, size, 0);
		if (n <= 0)
			return 0;
		bytes -= n;
	}
	return 1;
}

static struct sockaddr_in place(char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};

	need(inet_pton(AF_INET, argv[0], &a.sin_addr) == 1, argv[0]);
	return a;
}

/* To be said before there is a connection: one that began with BBR goes on by its timer. */
static void set_up(int fd)
{
	const char *name = getenv("CONGESTION");
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (name)
		need(!setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)), name);
}

static void serve(char **argv)
{
	struct sockaddr_in a = place(argv);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	set_up(fd);   /* what it accepts inherits that */
	need(!setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)), "IP_TRANSPARENT");
	need(!bind(fd, (struct sockaddr *)&a, sizeof(a)), "bind");
	need(!listen(fd, 4096), "listen");
	puts("listening");
	fflush(stdout);
	for (;;) {
		struct order o;
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			continue;
		if (read_all(peer, &o, sizeof(o)) && o.size <= CHUNK) {
			if (o.what == 'r')
				while (read_all(peer, buffer, o.size) && write_all(peer, buffer, o.size))
					;
			else if (o.what == 'u' && pass(peer, o.bytes, 0))
				write_all(peer, "!", 1);
			else if (o.what == 'd')
				pass(peer, o.bytes, 1);
			else if (o.what == 'c')
				write_all(peer, "!", 1);
			else if (o.what == 'w' && write_all(peer, "!", 1))
				recv(peer, buffer, 1, 0);
		}
		close(peer);
	}
}

static int reach(char **argv, struct order o)
{
	struct sockaddr_in a = place(argv);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set_up(fd);
	need(!connect(fd, (struct sockaddr *)&a, sizeof(a)), "connect");
	need(write_all(fd, &o, sizeof(o)), "send");
	return fd;
}

static double send_datagrams(char **argv, int count)
{
	struct sockaddr_in a = place(argv);
	int i, fd = socket(AF_INET, SOCK_DGRAM, 0);
	double start = 0;

	need(!connect(fd, (struct sockaddr *)&a, sizeof(a)), "connect");
	for (i = -count / 10; i < count; i++) {   /* the first tenth warms up */
		if (!i)
			start = now();
		send(fd, buffer, 64, 0);
	}
	return (now() - start) / count;
}

int main(int argc, char **argv)
{
	double start;
	int i, fd;

	if (argc >= 4 && !strcmp(argv[1], "serve")) {
		serve(argv + 2);
	} else if (argc == 6 && !strcmp(argv[1], "rtt")) {
		struct order o = {'r', atoi(argv[4])};
		int count = atoi(argv[5]);

		need(o.size <= CHUNK, "size");
		fd = reach(argv + 2, o);
		for (i = -count / 10; i < count; i++) {   /* the first tenth warms up */
			if (!i)
				start = now();
			need(write_all(fd, buffer, o.size) && read_all(fd, buffer, o.size), "talk");
		}
		printf("%.9f\n", (now() - start) / count);
	} else if (argc == 6 && !strcmp(argv[1], "bulk")) {
		int up = !strcmp(argv[2], "up");
		struct order o = {up ? 'u' : 'd', 0, strtoull(argv[5], NULL, 10)};

		fd = reach(argv + 3, o);
		start = now();
		need(pass(fd, o.bytes, up) && (!up || read_all(fd, buffer, 1)), "bulk");
		printf("%.0f\n", o.bytes / (now() - start));
	} else if (argc == 6 && !strcmp(argv[1], "connect")) {
		int first = !strcmp(argv[5], "first");
		struct order o = {first ? 'w' : 'c'};
		int count = atoi(argv[4]);

		start = now();
		for (i = 0; i < count; i++) {
			fd = reach(argv + 2, o);
			need(read_all(fd, buffer, 1), "answer");
			if (!first)
				recv(fd, buffer, 1, 0);
			close(fd);
		}
		printf("%.1f\n", count / (now() - start));
	} else if (argc == 5 && !strcmp(argv[1], "send")) {
		printf("%.12f\n", send_datagrams(argv + 2, atoi(argv[4])));
	} else {
		fprintf(stderr, "usage: see the top of talk.c\n");
		return 64;
	}
	return 0;
}
