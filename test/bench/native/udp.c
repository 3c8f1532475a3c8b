/*
 * Small UDP and ICMP instruments of the bench. Each prints one JSON line.
 *
 *   udp echo PORT                      sends every datagram back, until it is ended
 *   udp rtt ADDRESS PORT MS FLOWS      one datagram at a time, from FLOWS source ports in turn: round trip times
 *   udp sink PORT MS                   counts datagrams for MS from the first one on
 *   udp flood ADDRESS PORT MS FLOWS    sends 64-byte datagrams as fast as it can, from FLOWS source ports in turn
 *   udp ping ADDRESS MS                one ICMP echo at a time, until the kernel's time stamp of the reply; never sleeps,
 *                                      so that waking up is no part of it
 *   udp reach                          reads addresses, a line each; prints microseconds until the first echo reply
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD = 64, BATCH = 64, MAX_FLOWS = 64, MAX_SAMPLES = 1 << 20, RESEND_US = 1000, GIVE_UP_US = 5000000 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1) {
		fprintf(stderr, "%s is no IPv4 address\n", address);
		exit(1);
	}
	return a;
}

static int bound(const char *port)
{
	struct sockaddr_in a = address_of("0.0.0.0", port);
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	return fd;
}

static int connected(const char *address, const char *port)
{
	struct sockaddr_in a = address_of(address, port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	return fd;
}

static void connect_all(int *fds, int flows, const char *address, const char *port)
{
	if (flows < 1 || flows > MAX_FLOWS) {
		fprintf(stderr, "1 to %d flows\n", MAX_FLOWS);
		exit(1);
	}
	for (int i = 0; i < flows; i++)
		fds[i] = connected(address, port);
}

static void timeout(int fd, int ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)))
		die("SO_RCVTIMEO");
}

static void echo(const char *port)
{
	int fd = bound(port);
	char buffer[2048];

	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t length = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size);

		if (length < 0)
			die("recvfrom");
		sendto(fd, buffer, length, 0, (struct sockaddr *)&from, size);
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int report(const char *address, uint32_t *took, uint32_t count, uint32_t lost)
{
	uint64_t sum = 0;

	if (count == 0)
		return fprintf(stderr, "no answer from %s\n", address), 1;
	for (uint32_t i = 0; i < count; i++)
		sum += took[i];
	qsort(took, count, sizeof(*took), by_value);
	printf("{\"count\":%u,\"lost\":%u,\"mean_us\":%.2f,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", count, lost,
	       sum / 1e3 / count, took[count / 2] / 1e3, took[(uint64_t)count * 99 / 100] / 1e3);
	return 0;
}

static int rtt(const char *address, const char *port, int ms, int flows)
{
	static uint32_t took[MAX_SAMPLES];
	int fds[MAX_FLOWS];
	uint64_t end = now_ns() + (uint64_t)ms * 1000000, sequence = 0;
	uint32_t count = 0, lost = 0;
	char buffer[PAYLOAD] = { 0 };

	connect_all(fds, flows, address, port);
	for (int i = 0; i < flows; i++)
		timeout(fds[i], 200);
	while (now_ns() < end && count < MAX_SAMPLES) {
		int fd = fds[sequence % flows];
		uint64_t from = now_ns(), answer = 0;

		memcpy(buffer, &sequence, sizeof(sequence));
		if (send(fd, buffer, sizeof(buffer), 0) < 0)
			die("send");
		do {
			if (recv(fd, buffer, sizeof(buffer), 0) < 0) {
				lost++;
				break;
			}
			memcpy(&answer, buffer, sizeof(answer));
			if (answer == sequence)
				took[count++] = now_ns() - from;
		} while (answer != sequence);
		sequence++;
	}
	return report(address, took, count, lost);
}

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	char data[BATCH][PAYLOAD];
};

static struct batch *batch(void)
{
	static struct batch b;

	for (int i = 0; i < BATCH; i++) {
		b.vectors[i] = (struct iovec){ b.data[i], PAYLOAD };
		b.messages[i].msg_hdr.msg_iov = &b.vectors[i];
		b.messages[i].msg_hdr.msg_iovlen = 1;
	}
	return &b;
}

static int sink(const char *port, int ms)
{
	struct batch *b = batch();
	int fd = bound(port), size = 4 << 20, count;
	uint64_t first, now, packets = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("SO_RCVBUFFORCE");
	timeout(fd, 2000);
	if (recvmmsg(fd, b->messages, 1, 0, NULL) < 0)
		die("no datagram came");
	first = now = now_ns();
	timeout(fd, 100);
	while (now < first + (uint64_t)ms * 1000000) {
		count = recvmmsg(fd, b->messages, BATCH, MSG_WAITFORONE, NULL);
		if (count < 0 && errno != EAGAIN)
			die("recvmmsg");
		packets += count > 0 ? count : 0;
		now = now_ns();
	}
	printf("{\"packets\":%llu,\"per_second\":%.0f}\n", (unsigned long long)packets, packets / ((now - first) / 1e9));
	return 0;
}

static int flood(const char *address, const char *port, int ms, int flows)
{
	struct batch *b = batch();
	int fds[MAX_FLOWS], turn = 0;
	uint64_t end, packets = 0;

	connect_all(fds, flows, address, port);
	end = now_ns() + (uint64_t)ms * 1000000;
	while (now_ns() < end) {
		int count = sendmmsg(fds[turn++ % flows], b->messages, BATCH, 0);

		/* The receiver may not listen yet or any more; the queue may be full. */
		if (count < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
			die("sendmmsg");
		packets += count > 0 ? count : 0;
	}
	printf("{\"packets\":%llu,\"per_second\":%.0f}\n", (unsigned long long)packets, packets / (ms / 1e3));
	return 0;
}

static uint16_t checksum(const void *data, int length)
{
	const uint16_t *words = data;
	uint32_t sum = 0;

	for (int i = 0; i < length / 2; i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

/* When the kernel took the packet in, by CLOCK_REALTIME. */
static uint64_t stamp_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;

			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
		}
	}
	fprintf(stderr, "a packet without a time stamp\n");
	exit(1);
}

static int ping(const char *address, int ms)
{
	static uint32_t took[MAX_SAMPLES];
	struct sockaddr_in to = address_of(address, "0");
	int one = 1, fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	uint64_t end = now_ns() + (uint64_t)ms * 1000000;
	uint32_t count = 0, lost = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		die("socket");
	for (uint16_t sequence = 0; now_ns() < end && count < MAX_SAMPLES; sequence++) {
		struct {
			struct icmphdr header;
			char data[PAYLOAD - sizeof(struct icmphdr)];
		} request = { .header = { .type = ICMP_ECHO, .un.echo = { .id = htons(getpid()), .sequence = sequence } } };
		struct timespec t;
		uint64_t from, give_up = now_ns() + 200000000;

		request.header.checksum = checksum(&request, sizeof(request));
		clock_gettime(CLOCK_REALTIME, &t);
		from = (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
		if (sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			die("sendto");
		for (;;) {
			char buffer[256], control[64];
			struct iovec vector = { buffer, sizeof(buffer) };
			struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
						  .msg_controllen = sizeof(control) };
			ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
			struct icmphdr *reply = (struct icmphdr *)(buffer + (buffer[0] & 15) * 4);

			if (length >= 28 && reply->type == ICMP_ECHOREPLY && reply->un.echo.id == htons(getpid()) &&
			    reply->un.echo.sequence == sequence) {
				took[count++] = stamp_of(&message) - from;
				break;
			}
			if (length < 0 && now_ns() > give_up) {
				lost++;
				break;
			}
		}
	}
	return report(address, took, count, lost);
}

/* Sends an echo request again and again: the answer to the first one may be to an ARP request that was lost. */
static long reach(int fd, const char *line, uint16_t id)
{
	struct sockaddr_in to = address_of(line, "0");
	uint64_t from = now_ns(), sent = 0;

	for (;;) {
		uint64_t now = now_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct timespec wait = { .tv_nsec = RESEND_US * 1000 };

		if (now - from > (uint64_t)GIVE_UP_US * 1000)
			return -1;
		if (now - sent >= (uint64_t)RESEND_US * 1000) {
			struct icmphdr request = { .type = ICMP_ECHO, .un.echo.id = id };

			request.checksum = checksum(&request, sizeof(request));
			sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&to, sizeof(to));
			sent = now;
		}
		if (ppoll(&p, 1, &wait, NULL) > 0) {
			char buffer[256];
			struct sockaddr_in who;
			socklen_t size = sizeof(who);
			ssize_t length = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&who, &size);
			struct icmphdr *reply = (struct icmphdr *)(buffer + (buffer[0] & 15) * 4);

			if (length >= 28 && who.sin_addr.s_addr == to.sin_addr.s_addr && reply->type == ICMP_ECHOREPLY &&
			    reply->un.echo.id == id)
				return (now_ns() - from) / 1000;
		}
	}
}

static int reach_all(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	char line[64];

	if (fd < 0)
		die("socket");
	for (uint16_t id = 1; fgets(line, sizeof(line), stdin); id++) {
		line[strcspn(line, "\n")] = 0;
		printf("%ld\n", reach(fd, line, htons(id)));
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "echo") && argc == 3)
		echo(argv[2]);
	if (!strcmp(mode, "rtt") && argc == 6)
		return rtt(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	if (!strcmp(mode, "sink") && argc == 4)
		return sink(argv[2], atoi(argv[3]));
	if (!strcmp(mode, "flood") && argc == 6)
		return flood(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	if (!strcmp(mode, "ping") && argc == 4)
		return ping(argv[2], atoi(argv[3]));
	if (!strcmp(mode, "reach") && argc == 2)
		return reach_all();
	fprintf(stderr, "usage: udp echo|rtt|ping|sink|flood|reach …\n");
	return 2;
}
