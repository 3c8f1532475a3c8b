// SPDX-License-Identifier: Apache-2.0
/*
 * Traffic whose every packet and byte is accounted for, and frames as they are. One program, so that a test starts it in
 * a namespace within milliseconds:
 *
 *   probe udp-sink PORT TOKEN             counts what arrives until stdin ends and 200 ms pass in silence
 *   probe udp-source IP PORT TOKEN RATE COUNT SIZE    COUNT 0: until stdin ends
 *   probe tcp-sink PORT SEED              verifies one connection's bytes
 *   probe tcp-source IP PORT SEED BYTES RATE          BYTES 0: until stdin ends; RATE in bytes/s, 0: as fast as it goes
 *   probe ping IP COUNT INTERVAL_MS SIZE DF PATIENCE_MS   COUNT 0: until stdin ends; waits for every reply, while iputils'
 *                                         ping gives up after two round trips; SIZE of the ICMP payload
 *   probe send INTERFACE                  sends the frames that stdin brings in hex, one per line
 *   probe capture INTERFACE               prints every frame in hex behind `in` or `out`, until stdin ends
 *
 * Sinks and capture say `ready` when nothing sent from then on escapes them. Results are one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x6d7a7072u
#define QUIET_MS 200
#define SEQUENCES_MAX (1u << 24)

struct datagram {
	uint32_t magic;
	uint32_t token; /* names the receiver that is meant */
	uint64_t sequence;
};

static void die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void sleep_until(int64_t when)
{
	struct timespec then = { .tv_sec = when / 1000000000LL, .tv_nsec = when % 1000000000LL };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
		;
}

/* Whoever started us ends us by closing stdin; nothing is ever written to it. */
static bool told_to_stop(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return poll(&in, 1, 0) > 0;
}

static void ready(void)
{
	puts("ready");
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

static int udp_sink(int port, uint32_t token)
{
	struct sockaddr_in here = address("0.0.0.0", port);
	uint64_t received = 0, duplicated = 0, reordered = 0, misdelivered = 0, unique = 0, highest = 0;
	uint8_t *seen = calloc(SEQUENCES_MAX / 8, 1);
	int s = socket(AF_INET, SOCK_DGRAM, 0), buffer = 16 << 20;
	struct pollfd fds[2] = { { .fd = s, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	int64_t gap = 0, last = 0;
	bool ending = false;
	static char data[65536];

	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	if (!seen || bind(s, (struct sockaddr *)&here, sizeof(here)))
		die("udp-sink");
	ready();
	for (;;) {
		int n = poll(fds, ending ? 1 : 2, ending ? QUIET_MS : -1);
		struct datagram got;
		ssize_t size;

		if (n == 0)
			break;
		if (!ending && fds[1].revents)
			ending = true;
		if (!(fds[0].revents & POLLIN))
			continue;
		size = recv(s, data, sizeof(data), MSG_DONTWAIT);
		if (size < 0)
			continue;
		memcpy(&got, data, size < (ssize_t)sizeof(got) ? 0 : sizeof(got));
		if (size < (ssize_t)sizeof(got) || got.magic != MAGIC || got.token != token ||
		    got.sequence >= SEQUENCES_MAX) {
			misdelivered++;
			continue;
		}
		if (last && now_ns() - last > gap)
			gap = now_ns() - last;
		last = now_ns();
		received++;
		if (seen[got.sequence / 8] & (1 << got.sequence % 8)) {
			duplicated++;
			continue;
		}
		seen[got.sequence / 8] |= 1 << got.sequence % 8;
		unique++;
		if (got.sequence + 1 < highest)
			reordered++;
		else
			highest = got.sequence + 1;
	}
	printf("{\"received\":%lu,\"unique\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"misdelivered\":%lu,\"gap_ms\":%.1f}\n",
	       received, unique, duplicated, reordered, misdelivered, gap / 1e6);
	return 0;
}

static int udp_source(const char *ip, int port, uint32_t token, double rate, uint64_t count, size_t size)
{
	struct sockaddr_in to = address(ip, port);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	int64_t started = now_ns();
	uint64_t sent = 0, refused = 0;
	static char data[65536];

	if (connect(s, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	if (size < sizeof(struct datagram) || size > sizeof(data))
		size = sizeof(struct datagram);
	while (count ? sent < count : !told_to_stop()) {
		struct datagram next = { .magic = MAGIC, .token = token, .sequence = sent };

		memcpy(data, &next, sizeof(next));
		/* An ICMP error for an earlier datagram is reported here; the datagram itself was not sent. */
		if (send(s, data, size, 0) < 0) {
			if (errno != ECONNREFUSED && errno != EHOSTUNREACH)
				die("send");
			refused++;
			continue;
		}
		sent++;
		sleep_until(started + (int64_t)(sent * (1e9 / rate)));
	}
	printf("{\"sent\":%lu,\"refused\":%lu}\n", sent, refused);
	return 0;
}

/* Every word of the stream follows from the seed and its place (splitmix64). */
static uint64_t word_at(uint64_t seed, uint64_t place)
{
	uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static int tcp_sink(int port, uint64_t seed)
{
	struct sockaddr_in here = address("0.0.0.0", port);
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1, s;
	uint64_t bytes = 0, bad = 0, expected = 0;
	static uint8_t data[1 << 18];
	ssize_t size;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 1))
		die("tcp-sink");
	ready();
	s = accept(listener, NULL, NULL);
	while ((size = recv(s, data, sizeof(data), 0)) > 0) {
		for (ssize_t i = 0; i < size; i++, bytes++) {
			if (bytes % 8 == 0)
				expected = word_at(seed, bytes / 8);
			bad += data[i] != (uint8_t)(expected >> bytes % 8 * 8);
		}
	}
	printf("{\"bytes\":%lu,\"bad\":%lu,\"broken\":%s}\n", bytes, bad, size < 0 ? "true" : "false");
	return 0;
}

static int tcp_source(const char *ip, int port, uint64_t seed, uint64_t total, double rate)
{
	struct sockaddr_in to = address(ip, port);
	int s = socket(AF_INET, SOCK_STREAM, 0), patience_ms = 20000;
	int64_t started = now_ns();
	uint64_t sent = 0;
	static uint64_t data[8192];
	char end;

	setsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
	if (connect(s, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	while (total ? sent < total : !told_to_stop()) {
		size_t chunk = rate > 0 && rate < 1e6 ? 1024 : sizeof(data);

		if (total && total - sent < chunk)
			chunk = total - sent;
		for (size_t i = 0; i < (chunk + 7) / 8; i++)
			data[i] = word_at(seed, sent / 8 + i);
		for (size_t done = 0; done < chunk;) {
			ssize_t n = send(s, (char *)data + done, chunk - done, MSG_NOSIGNAL);

			if (n < 0)
				die("send");
			done += n;
		}
		sent += chunk;
		if (rate > 0)
			sleep_until(started + (int64_t)(sent * (1e9 / rate)));
	}
	/* The peer closes when it has read everything. */
	if (shutdown(s, SHUT_WR) || recv(s, &end, 1, 0) != 0)
		die("close");
	printf("{\"sent\":%lu}\n", sent);
	return 0;
}

static uint16_t checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return htons(~sum);
}

struct echo {
	uint8_t type;
	uint8_t code;
	uint16_t sum;
	uint16_t id;
	uint16_t sequence;
	uint8_t payload[65000];
};

static int ping(const char *ip, uint64_t count, double interval_ms, size_t size, int df, int64_t patience_ms)
{
	struct sockaddr_in to = address(ip, 0), from;
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), buffer = 16 << 20;
	int discover = df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
	uint64_t sent = 0, received = 0, duplicates = 0, bad = 0, errors = 0;
	int64_t next = now_ns(), end = 0;
	static uint8_t seen[65536 / 8];
	static struct echo request, reply;
	static uint8_t packet[66000];

	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	if (s < 0 || size > sizeof(request.payload) || count > 65535 ||
	    setsockopt(s, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover)))
		die("ping");
	request = (struct echo){ .type = 8, .id = getpid() };
	for (size_t i = 0; i < size; i++)
		request.payload[i] = i * 7 + 1;
	for (;;) {
		struct pollfd in = { .fd = s, .events = POLLIN };
		socklen_t length = sizeof(from);
		bool done = count ? sent == count : end || told_to_stop();
		int64_t now = now_ns(), until = done ? end : next;
		ssize_t got;

		if (done && !end)
			until = end = now + patience_ms * 1000000;
		if (done && (received + errors >= sent || now >= end))
			break;
		if (!done && now >= next) {
			request.sequence = htons(sent);
			request.sum = 0;
			request.sum = checksum(&request, 8 + size);
			/* A packet that DF forbids is refused right here. */
			errors += sendto(s, &request, 8 + size, 0, (struct sockaddr *)&to, sizeof(to)) < 0;
			sent++;
			next += interval_ms * 1e6;
			continue;
		}
		if (poll(&in, 1, (until - now) / 1000000 + 1) <= 0)
			continue;
		got = recvfrom(s, packet, sizeof(packet), 0, (struct sockaddr *)&from, &length) - 20;
		if (got < 8 || from.sin_addr.s_addr != to.sin_addr.s_addr)
			continue;
		memcpy(&reply, packet + 20, got);
		if (reply.type != 0 || reply.id != request.id)
			continue;
		if (got != (ssize_t)(8 + size) || memcmp(reply.payload, request.payload, size)) {
			bad++;
			continue;
		}
		if (seen[ntohs(reply.sequence) / 8] & (1 << ntohs(reply.sequence) % 8)) {
			duplicates++;
			continue;
		}
		seen[ntohs(reply.sequence) / 8] |= 1 << ntohs(reply.sequence) % 8;
		received++;
	}
	printf("{\"sent\":%lu,\"received\":%lu,\"duplicates\":%lu,\"bad\":%lu}\n", sent, received, duplicates, bad);
	return 0;
}

static int packet_socket(const char *interface)
{
	struct sockaddr_ll on = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), buffer = 64 << 20;

	on.sll_ifindex = if_nametoindex(interface);
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	if (s < 0 || !on.sll_ifindex || bind(s, (struct sockaddr *)&on, sizeof(on)))
		die(interface);
	return s;
}

static int send_frames(const char *interface)
{
	int s = packet_socket(interface);
	static char line[140000];
	static uint8_t frame[70000];
	int sent = 0;

	while (fgets(line, sizeof(line), stdin)) {
		size_t size = strspn(line, "0123456789abcdefABCDEF") / 2;

		for (size_t i = 0; i < size; i++) {
			unsigned int byte;

			sscanf(line + 2 * i, "%2x", &byte);
			frame[i] = byte;
		}
		if (size && send(s, frame, size, 0) != (ssize_t)size)
			die("send");
		sent += size > 0;
	}
	printf("{\"sent\":%d}\n", sent);
	return 0;
}

static int capture(const char *interface)
{
	int s = packet_socket(interface);
	struct pollfd fds[2] = { { .fd = s, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	struct tpacket_stats lost = {};
	socklen_t length = sizeof(lost);
	static uint8_t frame[70000];

	ready();
	for (;;) {
		int n = poll(fds, 2, -1);

		if (n > 0 && (fds[0].revents & POLLIN)) {
			struct sockaddr_ll from = {};
			socklen_t size = sizeof(from);
			ssize_t bytes = recvfrom(s, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

			if (bytes >= 0) {
				fputs(from.sll_pkttype == PACKET_OUTGOING ? "out " : "in ", stdout);
				/* The start tells what a frame is. */
				for (ssize_t i = 0; i < bytes && i < 256; i++)
					printf("%02x", frame[i]);
				putchar('\n');
			}
			continue;
		}
		if (fds[1].revents)
			break;
	}
	getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &lost, &length);
	printf("lost %u\n", lost.tp_drops);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	/* A capture is read while it goes on. */
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	if (!strcmp(verb, "udp-sink") && argc == 4)
		return udp_sink(atoi(argv[2]), strtoul(argv[3], NULL, 10));
	if (!strcmp(verb, "udp-source") && argc == 8)
		return udp_source(argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 10), atof(argv[5]),
				  strtoull(argv[6], NULL, 10), strtoul(argv[7], NULL, 10));
	if (!strcmp(verb, "tcp-sink") && argc == 4)
		return tcp_sink(atoi(argv[2]), strtoull(argv[3], NULL, 10));
	if (!strcmp(verb, "tcp-source") && argc == 7)
		return tcp_source(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10),
				  atof(argv[6]));
	if (!strcmp(verb, "ping") && argc == 8)
		return ping(argv[2], strtoull(argv[3], NULL, 10), atof(argv[4]), strtoul(argv[5], NULL, 10),
			    atoi(argv[6]), atoll(argv[7]));
	if (!strcmp(verb, "send") && argc == 3)
		return send_frames(argv[2]);
	if (!strcmp(verb, "capture") && argc == 3)
		return capture(argv[2]);
	fprintf(stderr, "probe: see the top of probe.c\n");
	return 2;
}
