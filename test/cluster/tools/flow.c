// SPDX-License-Identifier: Apache-2.0
/*
 * Numbered datagrams between many endpoints at once, every one of them accounted for. One process per namespace sends and
 * receives; each writes what it did into a file of its own, and `merge` compares all files.
 *
 *   flow talk FILE RUN ID INSTANCE PORT SEED   prints `ready` when nothing sent to it from then on escapes it, then obeys:
 *       to IP ID RATE SIZE COUNT MODE          a flow to another ID; RATE per second; COUNT 0: until `stop`; MODE `one-way`
 *                                              or `echo`: the receiver sends each datagram back
 *       stray IP RATE SIZE COUNT               datagrams that must reach nobody
 *       any RATE SIZE COUNT                    each datagram to one of the flows made with rate 0, chosen by SEED
 *       pause, resume                          of all sending but echoes
 *       stop                                   ends sending and prints `stopped`
 *     prints `over` for each flow that has sent its COUNT,
 *     and at the end of stdin waits for 300 ms of silence, and ends with a line of JSON
 *   flow merge FILE...                         prints one object of JSON: the account, see `main`
 *
 * IDs name endpoints, INSTANCEs (0 to 15) the processes that may be behind one: an endpoint that moves has two. Datagrams
 * carry RUN, the IDs of both ends and their number: whoever receives one knows for whom it was meant. Times are
 * CLOCK_MONOTONIC, which all namespaces share.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x6d7a666cu
#define QUIET_MS 300
#define FLOWS_MAX 4096
#define GAPS_MAX 2000
#define NOBODY 0xfffffffu
#define SECOND 1000000000LL

enum kind {
	SENT,
	RECEIVED,	/* by whom it was meant for */
	RETURNED,	/* an echo, back at its sender */
	MISDELIVERED,	/* by someone else */
	STRANGE,	/* not of this run */
	SENT_ECHOED,	/* like SENT, of a flow whose datagrams come back */
};

/* What became of one datagram at one place. */
struct record {
	uint32_t from; /* ID << 4 | INSTANCE */
	uint32_t to;   /* ID */
	uint32_t sequence;
	uint32_t kind_here; /* kind << 28 | ID of whose file this is */
	int64_t when;
};

struct datagram {
	uint32_t magic;
	uint32_t run;
	uint32_t from;
	uint32_t to;
	uint32_t sequence;
	uint8_t wants_echo;
	uint8_t is_echo;
	uint8_t padding[2];
};

struct flow {
	struct sockaddr_in address;
	uint32_t to;
	uint32_t *sequence; /* one for all flows to the same ID */
	size_t size;
	double interval;
	uint64_t count;
	uint64_t slots; /* times at which one was due; what `pause` skips is not caught up */
	int64_t started;
	bool wants_echo;
	bool is_any;
	bool is_over;
};

static struct flow flows[FLOWS_MAX];
static uint32_t sequences[FLOWS_MAX];
static int flow_count, choices[FLOWS_MAX], choice_count;
static int s;
static uint32_t run, me, instance;
static bool paused, stopped;
static uint64_t sent, refused, received, random_state;
static uint32_t overflowed;
static FILE *file;
static uint8_t data[65536];

static void die(const char *what)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static void note(enum kind kind, uint32_t from, uint32_t to, uint32_t sequence, int64_t when)
{
	struct record record = { from, to, sequence, (uint32_t)kind << 28 | me, when };

	if (fwrite(&record, sizeof(record), 1, file) != 1)
		die("write");
}

static void send_one(struct flow *flow)
{
	struct datagram next = { MAGIC, run, me << 4 | instance, flow->to, *flow->sequence, flow->wants_echo, 0, {} };
	int64_t when = now_ns();

	memcpy(data, &next, sizeof(next));
	if (sendto(s, data, flow->size, 0, (struct sockaddr *)&flow->address, sizeof(flow->address)) < 0) {
		/* No interface, no route, no memory: it was not sent. */
		refused++;
		return;
	}
	note(flow->wants_echo ? SENT_ECHOED : SENT, next.from, flow->to, next.sequence, when);
	++*flow->sequence;
	sent++;
}

/* Sends what is due; returns when the next one is. */
static int64_t send_due(void)
{
	int64_t now = now_ns(), soonest = now + SECOND;

	for (int i = 0; i < flow_count && !stopped; i++) {
		struct flow *flow = &flows[i];
		int64_t due = flow->started + (int64_t)(flow->slots * flow->interval);

		if (flow->is_over)
			continue;
		/* A burst of what is late is what a busy machine makes of any pace; more than that helps nobody. */
		for (int burst = 0; due <= now && burst < 64 && !flow->is_over; burst++) {
			if (!paused && flow->is_any && choice_count) {
				struct flow *choice = &flows[choices[next_random() % choice_count]];

				choice->size = flow->size;
				send_one(choice);
			} else if (!paused) {
				send_one(flow);
			}
			flow->slots++;
			flow->is_over = flow->count && flow->slots >= flow->count;
			if (flow->is_over)
				puts("over");
			due = flow->started + (int64_t)(flow->slots * flow->interval);
		}
		if (!flow->is_over && due < soonest)
			soonest = due;
	}
	return soonest;
}

static void receive(void)
{
	for (int burst = 0; burst < 256; burst++) {
		struct sockaddr_in from;
		struct iovec part = { data, sizeof(data) };
		char control[256];
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t size = recvmsg(s, &message, MSG_DONTWAIT);
		int64_t when = now_ns();
		struct datagram got;

		if (size < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
				memcpy(&overflowed, CMSG_DATA(c), sizeof(overflowed));
		received++;
		if (size < (ssize_t)sizeof(got)) {
			note(STRANGE, 0, 0, 0, when);
			continue;
		}
		memcpy(&got, data, sizeof(got));
		if (got.magic != MAGIC || got.run != run) {
			note(STRANGE, got.from, got.to, got.sequence, when);
			continue;
		}
		if (got.is_echo) {
			note(got.from >> 4 == me ? RETURNED : MISDELIVERED, got.from, got.to, got.sequence, when);
			continue;
		}
		note(got.to == me ? RECEIVED : MISDELIVERED, got.from, got.to, got.sequence, when);
		if (got.to == me && got.wants_echo) {
			got.is_echo = 1;
			memcpy(data, &got, sizeof(got));
			if (sendto(s, data, size, 0, (struct sockaddr *)&from, sizeof(from)) < 0)
				refused++;
		}
	}
}

static void obey(char *line, int port)
{
	char ip[64], mode[16] = "one-way";
	struct flow flow = { .started = now_ns(), .to = NOBODY };
	double rate = 0;

	flow.address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	if (!strcmp(line, "pause") || !strcmp(line, "resume")) {
		paused = *line == 'p';
		puts(paused ? "paused" : "resumed");
		return;
	}
	if (!strcmp(line, "stop")) {
		stopped = true;
		puts("stopped");
		return;
	}
	if (sscanf(line, "to %63s %u %lf %zu %lu %15s", ip, &flow.to, &rate, &flow.size, &flow.count, mode) == 6) {
		flow.wants_echo = !strcmp(mode, "echo");
	} else if (sscanf(line, "any %lf %zu %lu", &rate, &flow.size, &flow.count) == 3) {
		strcpy(ip, "0.0.0.0");
		flow.is_any = true;
	} else if (sscanf(line, "stray %63s %lf %zu %lu", ip, &rate, &flow.size, &flow.count) != 4) {
		errno = EINVAL;
		die(line);
	}
	if (inet_pton(AF_INET, ip, &flow.address.sin_addr) != 1 || flow_count == FLOWS_MAX || flow.size > sizeof(data)) {
		errno = EINVAL;
		die(line);
	}
	if (flow.size < sizeof(struct datagram))
		flow.size = sizeof(struct datagram);
	flow.interval = rate > 0 ? SECOND / rate : 0;
	if (rate <= 0) {
		flow.is_over = true;
		choices[choice_count++] = flow_count;
	}
	flow.sequence = &sequences[flow_count];
	for (int i = 0; i < flow_count; i++)
		if (flows[i].to == flow.to)
			flow.sequence = flows[i].sequence;
	flows[flow_count++] = flow;
}

static int talk(char **arg)
{
	int port = atoi(arg[4]), buffer = 64 << 20, yes = 1;
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port) };
	static char line[65536];
	size_t length = 0;
	bool ending = false;
	int64_t quiet_since = 0;

	run = strtoul(arg[1], NULL, 10);
	me = strtoul(arg[2], NULL, 10);
	instance = strtoul(arg[3], NULL, 10);
	random_state = strtoull(arg[5], NULL, 10);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	file = fopen(arg[0], "w");
	if (!file || s < 0)
		die(arg[0]);
	setvbuf(file, NULL, _IOFBF, 1 << 18);
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &yes, sizeof(yes));
	if (bind(s, (struct sockaddr *)&here, sizeof(here)))
		die("bind");
	fcntl(0, F_SETFL, O_NONBLOCK);
	puts("ready");
	for (;;) {
		struct pollfd fds[2] = { { .fd = s, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
		int64_t next = send_due(), now = now_ns();
		int64_t wait = ending ? QUIET_MS * (SECOND / 1000) / 4 : next - now;
		struct timespec timeout = { wait > 0 ? wait / SECOND : 0, wait > 0 ? wait % SECOND : 0 };
		uint64_t before = received;

		if (ppoll(fds, ending ? 1 : 2, &timeout, NULL) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			receive();
		now = now_ns();
		if (ending) {
			if (received != before)
				quiet_since = now;
			if (now - quiet_since > QUIET_MS * (SECOND / 1000))
				break;
			continue;
		}
		if (fds[1].revents) {
			ssize_t size = read(0, line + length, sizeof(line) - length - 1);
			char *end;

			if (size < 0 && errno == EAGAIN)
				continue;
			if (size <= 0) {
				ending = stopped = true;
				quiet_since = now;
				continue;
			}
			length += size;
			while ((end = memchr(line, '\n', length))) {
				*end = 0;
				obey(line, port);
				length -= end + 1 - line;
				memmove(line, end + 1, length);
			}
		}
	}
	if (fclose(file))
		die("close");
	printf("{\"sent\":%lu,\"refused\":%lu,\"received\":%lu,\"overflowed\":%u}\n", sent, refused, received, overflowed);
	return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static bool is_sent(const struct record *r)
{
	return r->kind_here >> 28 == SENT || r->kind_here >> 28 == SENT_ECHOED;
}

/* By flow, number, what happened, and time. */
static int by_number(const void *x, const void *y)
{
	const struct record *a = x, *b = y;
	int order = compare_numbers((uint64_t)a->from << 32 | a->to, (uint64_t)b->from << 32 | b->to);

	if (!order)
		order = compare_numbers(a->sequence, b->sequence);
	if (!order)
		order = is_sent(b) - is_sent(a);
	if (!order)
		order = compare_numbers(a->kind_here >> 28, b->kind_here >> 28);
	return order ? order : compare_numbers(a->when, b->when);
}

/* By flow and time. */
static int by_time(const void *x, const void *y)
{
	const struct record *a = x, *b = y;
	int order = compare_numbers((uint64_t)a->from << 32 | a->to, (uint64_t)b->from << 32 | b->to);

	return order ? order : compare_numbers(a->when, b->when);
}

struct account {
	uint64_t sent, received, lost, duplicated, reordered, misdelivered, strange, unsent;
	uint64_t echoes_sent, echoes_lost, echoes_duplicated;
	double silence_ms;
};

/* Consecutive losses of one flow. */
struct gap {
	uint32_t from, to, first, count;
	int64_t begin, end;
	bool is_echo;
};

static struct gap gaps[GAPS_MAX];
static int gap_count;
static uint64_t gaps_left_off;

static void lose(const struct record *r, bool is_echo, struct gap **open)
{
	struct gap *gap = *open;

	if (gap && gap->from == r->from && gap->to == r->to && gap->first + gap->count == r->sequence) {
		gap->count++;
		gap->end = r->when;
		return;
	}
	if (gap_count == GAPS_MAX) {
		gaps_left_off++;
		return;
	}
	gaps[gap_count] = (struct gap){ r->from, r->to, r->sequence, 1, r->when, r->when, is_echo };
	*open = &gaps[gap_count++];
}

static int merge(int count, char **names)
{
	struct record *all = NULL;
	size_t total = 0;
	struct account sum = {};
	struct gap *gap = NULL, *echo_gap = NULL;

	for (int i = 0; i < count; i++) {
		struct stat st;
		FILE *f = fopen(names[i], "r");

		if (!f || fstat(fileno(f), &st))
			die(names[i]);
		all = realloc(all, (total * sizeof(*all)) + st.st_size + 1);
		if (!all || fread(all + total, 1, st.st_size, f) != (size_t)st.st_size)
			die(names[i]);
		total += st.st_size / sizeof(*all);
		fclose(f);
	}
	qsort(all, total, sizeof(*all), by_number);
	for (size_t i = 0, next; i < total; i = next) {
		const struct record *first = &all[i];
		uint64_t arrived = 0, returned = 0;
		bool echoed = first->kind_here >> 28 == SENT_ECHOED;

		for (next = i; next < total && all[next].from == first->from && all[next].to == first->to &&
			       all[next].sequence == first->sequence; next++) {
			switch (all[next].kind_here >> 28) {
			case RECEIVED:
				arrived++;
				break;
			case RETURNED:
				returned++;
				break;
			case MISDELIVERED:
				sum.misdelivered++;
				break;
			case STRANGE:
				sum.strange++;
				break;
			}
		}
		sum.received += arrived;
		/* Its sender was killed before it could write, or it was never sent by one of these. */
		if (!is_sent(first)) {
			sum.unsent += arrived + returned;
			continue;
		}
		sum.sent++;
		sum.echoes_sent += echoed;
		if (arrived > 1)
			sum.duplicated += arrived - 1;
		if (arrived == 0 && first->to != NOBODY) {
			sum.lost++;
			lose(first, false, &gap);
		}
		if (echoed && returned > 1)
			sum.echoes_duplicated += returned - 1;
		if (echoed && arrived > 0 && returned == 0) {
			sum.echoes_lost++;
			lose(first, true, &echo_gap);
		}
	}
	qsort(all, total, sizeof(*all), by_time);
	for (size_t i = 0, next; i < total; i = next) {
		uint32_t highest = 0;
		int64_t last = 0;

		for (next = i; next < total && all[next].from == all[i].from && all[next].to == all[i].to; next++) {
			if (all[next].kind_here >> 28 != RECEIVED)
				continue;
			if (last && (all[next].when - last) / 1e6 > sum.silence_ms)
				sum.silence_ms = (all[next].when - last) / 1e6;
			last = all[next].when;
			if (all[next].sequence + 1 < highest)
				sum.reordered++;
			else
				highest = all[next].sequence + 1;
		}
	}
	printf("{\"sent\":%lu,\"received\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"misdelivered\":%lu,"
	       "\"strange\":%lu,\"unsent\":%lu,\"echoes\":{\"sent\":%lu,\"lost\":%lu,\"duplicated\":%lu},"
	       "\"silence_ms\":%.1f,\"gaps\":[",
	       sum.sent, sum.received, sum.lost, sum.duplicated, sum.reordered, sum.misdelivered, sum.strange, sum.unsent,
	       sum.echoes_sent, sum.echoes_lost, sum.echoes_duplicated, sum.silence_ms);
	for (int i = 0; i < gap_count; i++)
		printf("%s{\"from\":%u,\"instance\":%u,\"to\":%u,\"first\":%u,\"count\":%u,\"begin_ms\":%.3f,\"end_ms\":%.3f,"
		       "\"echo\":%s}",
		       i ? "," : "", gaps[i].from >> 4, gaps[i].from & 15, gaps[i].to, gaps[i].first, gaps[i].count,
		       gaps[i].begin / 1e6, gaps[i].end / 1e6, gaps[i].is_echo ? "true" : "false");
	printf("],\"gaps_left_off\":%lu}\n", gaps_left_off);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	if (argc == 8 && !strcmp(argv[1], "talk"))
		return talk(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "merge"))
		return merge(argc - 2, argv + 2);
	fprintf(stderr, "flow: see the top of flow.c\n");
	return 2;
}
