// SPDX-License-Identifier: Apache-2.0
/*
 * Servers that say who they are, and clients that count whom they met:
 *
 *   serve serve tcp|udp PORT NAME    answers every line (datagram) with NAME, until stdin ends; says `ready`
 *   serve ask tcp|udp IP PORT COUNT PATIENCE_MS [SOURCE_PORT]
 *
 * `ask` opens COUNT connections (with SOURCE_PORT: from there on), asks each once, and prints one line of JSON; for every
 * line on stdin it asks the same connections again and prints another. They end with stdin, by RST.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ASKED_MAX 4096
#define NAMES_MAX 64

static void die(const char *what)
{
	fprintf(stderr, "serve: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static struct sockaddr_in address(const char *ip, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, ip, &to.sin_addr) != 1) {
		errno = EINVAL;
		die(ip);
	}
	return to;
}

static int listener(bool tcp, int port)
{
	struct sockaddr_in here = address("0.0.0.0", port);
	int s = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (s < 0 || bind(s, (struct sockaddr *)&here, sizeof(here)) || (tcp && listen(s, 4096)))
		die("listen");
	return s;
}

static int serve(bool tcp, int port, const char *name)
{
	static struct pollfd fds[ASKED_MAX + 2];
	int count = 2;
	char line[256];

	fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = listener(tcp, port), .events = POLLIN };
	puts("ready");
	for (;;) {
		if (poll(fds, count, -1) < 0)
			die("poll");
		if (fds[0].revents)
			return 0;
		if (fds[1].revents && tcp && count < ASKED_MAX + 2) {
			int s = accept(fds[1].fd, NULL, NULL);

			if (s >= 0)
				fds[count++] = (struct pollfd){ .fd = s, .events = POLLIN };
		} else if (fds[1].revents) {
			struct sockaddr_in from;
			socklen_t size = sizeof(from);

			if (recvfrom(fds[1].fd, line, sizeof(line), 0, (struct sockaddr *)&from, &size) > 0)
				sendto(fds[1].fd, name, strlen(name), 0, (struct sockaddr *)&from, size);
		}
		for (int i = count - 1; i >= 2; i--) {
			if (!fds[i].revents)
				continue;
			if (recv(fds[i].fd, line, sizeof(line), 0) > 0) {
				send(fds[i].fd, name, strlen(name), MSG_NOSIGNAL);
				continue;
			}
			close(fds[i].fd);
			fds[i] = fds[--count];
		}
	}
}

struct client {
	int s;
	char who[64]; /* who answered first */
};

struct outcome {
	struct {
		char name[64];
		int count;
	} by[NAMES_MAX];
	int names, refused, unreachable, reset, silent, changed, retransmits, slowest_ms;
};

static void answered(struct outcome *seen, struct client *client, const char *name)
{
	int i = 0;

	if (client->who[0] && strcmp(client->who, name))
		seen->changed++;
	if (!client->who[0])
		memcpy(client->who, name, sizeof(client->who));
	while (i < seen->names && strcmp(seen->by[i].name, name))
		i++;
	if (i == NAMES_MAX)
		die("names");
	if (i == seen->names)
		memcpy(seen->by[seen->names++].name, name, sizeof(seen->by[0].name));
	seen->by[i].count++;
}

static void failed(struct outcome *seen, struct client *client, int error)
{
	if (error == ECONNREFUSED)
		seen->refused++;
	else if (error == EHOSTUNREACH || error == ENETUNREACH)
		seen->unreachable++;
	else if (error == ECONNRESET || error == EPIPE)
		seen->reset++;
	else
		seen->silent++;
	close(client->s);
	client->s = -1;
}

static int error_of(int s)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* Waits for an event on a socket: 0, or why there is none. */
static int await(int s, short events, int64_t deadline)
{
	struct pollfd fd = { .fd = s, .events = events };
	int64_t left = deadline - now_ms();

	if (poll(&fd, 1, left > 0 ? left : 0) <= 0)
		return ETIMEDOUT;
	return error_of(s);
}

/* Connected by now, and asked. */
static void ask(struct outcome *seen, struct client *client, int64_t deadline)
{
	int error;

	if (client->s < 0)
		return;
	error = await(client->s, POLLOUT, deadline);
	if (!error && send(client->s, "who\n", 4, MSG_NOSIGNAL) < 0)
		error = errno;
	if (error)
		failed(seen, client, error);
}

static void hear(struct outcome *seen, struct client *client, bool tcp, int64_t begin, int64_t deadline)
{
	char name[64] = {};
	ssize_t length;
	int error;

	if (client->s < 0)
		return;
	error = await(client->s, POLLIN, deadline);
	if (error)
		return failed(seen, client, error);
	length = recv(client->s, name, sizeof(name) - 1, 0);
	if (length <= 0)
		return failed(seen, client, length < 0 ? errno : ECONNRESET);
	answered(seen, client, name);
	if (tcp) {
		struct tcp_info info = {};
		socklen_t size = sizeof(info);

		if (!getsockopt(client->s, IPPROTO_TCP, TCP_INFO, &info, &size))
			seen->retransmits += info.tcpi_total_retrans;
	}
	if (now_ms() - begin > seen->slowest_ms)
		seen->slowest_ms = now_ms() - begin;
}

static void print(const struct outcome *seen)
{
	printf("{\"by\":{");
	for (int i = 0; i < seen->names; i++)
		printf("%s\"%s\":%d", i ? "," : "", seen->by[i].name, seen->by[i].count);
	printf("},\"refused\":%d,\"unreachable\":%d,\"reset\":%d,\"silent\":%d,\"changed\":%d,"
	       "\"retransmits\":%d,\"slowest_ms\":%d}\n",
	       seen->refused, seen->unreachable, seen->reset, seen->silent, seen->changed,
	       seen->retransmits, seen->slowest_ms);
}

/* All sockets are connected: only answers of the address and port that was asked count, and ICMP errors are heard. */
static int ask_all(bool tcp, const char *ip, int port, int count, int patience_ms, int source)
{
	static struct client clients[ASKED_MAX];
	struct sockaddr_in to = address(ip, port);
	struct linger at_once = { .l_onoff = 1 };
	char line[64];

	for (int i = 0; i < count; i++) {
		struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(source ? source + i : 0) };
		int on = 1, s = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);

		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		if (s < 0 || bind(s, (struct sockaddr *)&here, sizeof(here)))
			die("bind");
		if (connect(s, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
			die("connect");
		clients[i].s = s;
	}
	do {
		struct outcome seen = {};
		int64_t begin = now_ms(), asked;

		/* Who is silent keeps nobody else waiting: each part has the whole time. */
		for (int i = 0; i < count; i++)
			ask(&seen, &clients[i], begin + patience_ms);
		asked = now_ms();
		for (int i = 0; i < count; i++)
			hear(&seen, &clients[i], tcp, begin, asked + patience_ms);
		print(&seen);
	} while (fgets(line, sizeof(line), stdin));
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit files = { .rlim_cur = ASKED_MAX + 64, .rlim_max = ASKED_MAX + 64 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc == 5 && !strcmp(argv[1], "serve"))
		return serve(!strcmp(argv[2], "tcp"), atoi(argv[3]), argv[4]);
	if (argc >= 7 && !strcmp(argv[1], "ask") && atoi(argv[5]) <= ASKED_MAX)
		return ask_all(!strcmp(argv[2], "tcp"), argv[3], atoi(argv[4]), atoi(argv[5]), atoi(argv[6]),
			       argc > 7 ? atoi(argv[7]) : 0);
	fprintf(stderr, "usage: see the head of serve.c\n");
	return 2;
}
