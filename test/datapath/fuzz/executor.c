// SPDX-License-Identifier: Apache-2.0
/*
 * Runs batches of map writes, packets and map reads on the programs of one object: thousands of BPF_PROG_TEST_RUN per
 * round trip, where packages/kernel makes a promise for each. It enters a network namespace of its own, so that what a
 * program clones goes nowhere, and hears it there.
 *
 *   executor OBJECT PORTS VERDICTS DIRECTORY
 *
 * It prints one line of JSON, its maps. A request is in DIRECTORY/request.N, announced on stdin by N and its length;
 * its reply in DIRECTORY/reply.N, announced on stdout. All is little-endian. A request is a list of operations:
 *   'U' map key value          write; taken back by 'C'
 *   'D' map key                delete
 *   'R' program size:u16 ifindex gso_size gso_segs mark bytes
 *   'X' map                    all entries, which are deleted
 *   'L' map key                one entry
 *   'Z' map                    an array's one value, which is zeroed
 *   'C'                        deletes what 'U' wrote
 * The reply holds, in order, for R: errno retval before:u64 after:u64 (CLOCK_MONOTONIC_COARSE) packets verdict bytes:u64
 * size data emitted {ifindex size data}…; for X: count {key value}…; for L: found value; for Z: value.
 * Numbers are u32 where nothing else is said. Per-CPU values are written to every CPU and read as their sums of u64.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAPS_MAX 64
#define ENTRIES_MAX 512 // of every map: few are used, and each walk goes through all buckets
#define WRITTEN_MAX 65536
#define PACKET_MAX 8192
#define SLOTS 4

struct map {
	const char *name;
	int fd;
	enum bpf_map_type type;
	uint32_t key_size, value_size; // of one CPU
	bool per_cpu, drained;	       // emptied by 'X' after each world
};

static struct map maps[MAPS_MAX];
static int map_count;
static const char *const program_names[] = { "endpoint", "nic", "bouncer", "tunnel" }; // enum program
#define PROGRAMS (int)(sizeof(program_names) / sizeof(program_names[0]))
static struct {
	int fd;
	bool xdp;
} programs[PROGRAMS];
static int cpus, verdict_count, heard;
/* The map, mapped: a verdict is one packet's, and system calls for all of them would take most of the time. */
static struct counter {
	uint64_t packets, bytes;
} *counters;
static char value_buffer[1 << 20], key_buffer[1 << 16];

static void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

// ---- the reply
static char *reply;
static size_t reply_size, reply_capacity;

static void *reserve(size_t bytes)
{
	if (reply_size + bytes > reply_capacity) {
		reply_capacity = 2 * (reply_size + bytes);
		reply = realloc(reply, reply_capacity);
		if (reply == NULL)
			die("memory");
	}
	reply_size += bytes;
	return reply + reply_size - bytes;
}

static void put(const void *data, size_t bytes)
{
	memcpy(reserve(bytes), data, bytes);
}

static void put32(uint32_t value)
{
	put(&value, 4);
}

static void put64(uint64_t value)
{
	put(&value, 8);
}

// ---- the request
static const char *at, *end;

static const void *take(size_t bytes)
{
	const char *data = at;
	errno = EPROTO;
	if ((size_t)(end - at) < bytes)
		die("request cut short");
	at += bytes;
	return data;
}

static uint32_t take32(void)
{
	uint32_t value;
	memcpy(&value, take(4), 4);
	return value;
}

static struct map *take_map(void)
{
	uint8_t index = *(const uint8_t *)take(1);
	errno = EPROTO;
	if (index >= map_count)
		die("map %d", index);
	return &maps[index];
}

// ---- maps
static size_t stride(const struct map *map)
{
	return (map->value_size + 7) & ~7u;
}

static struct {
	struct map *map;
	size_t key; // in written_keys
} written[WRITTEN_MAX];
static size_t written_count, written_bytes;
static char written_keys[WRITTEN_MAX * 48];

static void update(void)
{
	struct map *map = take_map();
	const char *key = take(map->key_size), *value = take(map->value_size);
	if (map->per_cpu) {
		for (int cpu = 0; cpu < cpus; cpu++)
			memcpy(value_buffer + cpu * stride(map), value, map->value_size);
		value = value_buffer;
	}
	if (bpf_map_update_elem(map->fd, key, value, BPF_ANY) != 0)
		die("update %s", map->name);
	if (map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY || map->drained)
		return;
	errno = EOVERFLOW;
	if (written_count == WRITTEN_MAX || written_bytes + map->key_size > sizeof(written_keys))
		die("rows written");
	written[written_count].map = map;
	written[written_count++].key = written_bytes;
	memcpy(written_keys + written_bytes, key, map->key_size);
	written_bytes += map->key_size;
}

static void clear(void)
{
	for (size_t i = 0; i < written_count; i++)
		bpf_map_delete_elem(written[i].map->fd, written_keys + written[i].key);
	written_count = written_bytes = 0;
}

static void put_value(const struct map *map, const char *value)
{
	if (!map->per_cpu) {
		put(value, map->value_size);
		return;
	}
	uint64_t *sum = reserve(map->value_size);
	memset(sum, 0, map->value_size);
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t word = 0; word < map->value_size / 8; word++) {
			uint64_t part, whole;
			memcpy(&part, value + cpu * stride(map) + 8 * word, 8);
			memcpy(&whole, (char *)sum + 8 * word, 8);
			whole += part;
			memcpy((char *)sum + 8 * word, &whole, 8);
		}
}

static void drain(void)
{
	struct map *map = take_map();
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t batch, count, total = 0;
	bool first = true;
	size_t value_size = map->per_cpu ? stride(map) * cpus : map->value_size, mark = reply_size;
	int rc;
	put32(0);
	do {
		count = ENTRIES_MAX;
		rc = bpf_map_lookup_and_delete_batch(map->fd, first ? NULL : &batch, &batch, key_buffer, value_buffer, &count,
						     &options);
		if (rc != 0 && errno != ENOENT)
			die("drain %s", map->name);
		for (uint32_t i = 0; i < count; i++) {
			put(key_buffer + (size_t)i * map->key_size, map->key_size);
			put_value(map, value_buffer + i * value_size);
		}
		total += count;
		first = false;
	} while (rc == 0);
	memcpy(reply + mark, &total, 4);
}

static void look_up(void)
{
	struct map *map = take_map();
	const void *key = take(map->key_size);
	bool found = bpf_map_lookup_elem(map->fd, key, value_buffer) == 0;
	put32(found);
	if (!found)
		memset(value_buffer, 0, map->per_cpu ? stride(map) * cpus : map->value_size);
	put_value(map, value_buffer);
}

static void zero(void)
{
	struct map *map = take_map();
	uint32_t key = 0;
	if (bpf_map_lookup_elem(map->fd, &key, value_buffer) != 0)
		die("look up %s", map->name);
	put(value_buffer, map->value_size);
	memset(value_buffer, 0, map->value_size);
	if (bpf_map_update_elem(map->fd, &key, value_buffer, BPF_ANY) != 0)
		die("zero %s", map->name);
}

// ---- packets
static uint64_t coarse(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void put_emitted(void)
{
	static char frame[PACKET_MAX];
	struct sockaddr_ll from;
	uint32_t count = 0;
	size_t mark = reply_size;
	put32(0);
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t size = recvfrom(heard, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &length);
		if (size < 0)
			break;
		if (from.sll_pkttype != PACKET_OUTGOING)
			continue;
		put32(from.sll_ifindex);
		put32(size);
		put(frame, size);
		count++;
	}
	memcpy(reply + mark, &count, 4);
}

static void run(void)
{
	static char output[PACKET_MAX];
	uint64_t before_ns, after_ns, bytes = 0;
	uint32_t packets = 0, verdict = 0;
	uint8_t program = *(const uint8_t *)take(1);
	uint16_t size;
	struct __sk_buff context = {};
	memcpy(&size, take(2), 2);
	context.ifindex = take32();
	context.gso_size = take32();
	context.gso_segs = take32();
	context.mark = take32();
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = take(size), .data_size_in = size, .data_out = output,
		    .data_size_out = sizeof(output), .repeat = 1);
	if (!programs[program].xdp) {
		options.ctx_in = &context;
		options.ctx_size_in = sizeof(context);
	}
	before_ns = coarse();
	int rc = bpf_prog_test_run_opts(programs[program].fd, &options) == 0 ? 0 : errno;
	after_ns = coarse();
	put32(rc);
	put32(options.retval);
	put64(before_ns);
	put64(after_ns);
	for (int i = 0; i < verdict_count; i++) {
		struct counter *counter = &counters[program * verdict_count + i];
		if (counter->packets == 0)
			continue;
		packets += counter->packets;
		bytes += counter->bytes;
		verdict = i;
		*counter = (struct counter){ 0 };
	}
	put32(packets);
	put32(verdict);
	put64(bytes);
	put32(rc == 0 ? options.data_size_out : 0);
	if (rc == 0)
		put(output, options.data_size_out);
	put_emitted();
}

// ---- start
static void shell(const char *format, ...)
{
	char command[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	errno = ECHILD;
	if (system(command) != 0)
		die("%s", command);
}

static void make_network(int ports)
{
	struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int bytes = 8 << 20;
	if (unshare(CLONE_NEWNET) != 0)
		die("network namespace");
	shell("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up");
	// nic is 2; ports are 4, 6, 8 …; each has its peer behind it.
	for (int i = 0; i <= ports; i++) {
		const char *name = i == 0 ? "nic" : "port";
		shell("ip link add %s%d index %d address 02:00:00:00:fe:%02x type veth peer name peer%d index %d && ip link set %s%d mtu 65535 up && ip link set peer%d mtu 65535 arp off up",
		      name, i, 2 + 2 * i, i, i, 3 + 2 * i, name, i, i);
	}
	heard = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (heard < 0 || setsockopt(heard, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
	    bind(heard, (struct sockaddr *)&all, sizeof(all)) != 0)
		die("packet socket");
}

static void load(const char *path)
{
	struct bpf_object *object = bpf_object__open(path);
	struct bpf_map *map;
	if (object == NULL)
		die("open %s", path);
	bpf_object__for_each_map(map, object) {
		enum bpf_map_type type = bpf_map__type(map);
		// For the programs the same; only here can all verdicts be read at once.
		if (strcmp(bpf_map__name(map), "counters") == 0 &&
		    (bpf_map__set_type(map, BPF_MAP_TYPE_ARRAY) != 0 || bpf_map__set_map_flags(map, BPF_F_MMAPABLE) != 0))
			die("counters");
		if (type != BPF_MAP_TYPE_ARRAY && type != BPF_MAP_TYPE_PERCPU_ARRAY)
			bpf_map__set_max_entries(map, ENTRIES_MAX);
	}
	if (bpf_object__load(object) != 0)
		die("load %s", path);
	bpf_object__for_each_map(map, object) {
		struct map *mine = &maps[map_count++];
		mine->name = bpf_map__name(map);
		mine->fd = bpf_map__fd(map);
		mine->type = bpf_map__type(map);
		mine->key_size = bpf_map__key_size(map);
		mine->value_size = bpf_map__value_size(map);
		mine->per_cpu = mine->type == BPF_MAP_TYPE_PERCPU_ARRAY || mine->type == BPF_MAP_TYPE_PERCPU_HASH ||
				mine->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
		mine->drained = mine->type == BPF_MAP_TYPE_LRU_HASH || mine->type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
				strcmp(mine->name, "budgets") == 0 || strcmp(mine->name, "traffic") == 0 ||
				strcmp(mine->name, "flows") == 0;
		if (strcmp(mine->name, "counters") == 0)
			counters = mmap(NULL, verdict_count * PROGRAMS * sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED,
					mine->fd, 0);
	}
	for (int i = 0; i < PROGRAMS; i++) {
		struct bpf_program *program = bpf_object__find_program_by_name(object, program_names[i]);
		if (program == NULL)
			die("no program %s", program_names[i]);
		programs[i].fd = bpf_program__fd(program);
		programs[i].xdp = bpf_program__type(program) == BPF_PROG_TYPE_XDP;
	}
}

static void introduce(void)
{
	printf("{\"maps\":[");
	for (int i = 0; i < map_count; i++)
		printf("%s{\"name\":\"%s\",\"keySize\":%u,\"valueSize\":%u}", i ? "," : "", maps[i].name, maps[i].key_size,
		       maps[i].value_size);
	printf("]}\n");
	fflush(stdout);
}

/* `prefix`.0 and .1: files in memory, so that neither side waits for the other to read. */
static int open_slot(const char *directory, const char *prefix, int slot)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.%d", directory, prefix, slot);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die("%s", path);
	return fd;
}

/* What is announced on either side: a slot, and how much is in its file. */
struct notice {
	uint32_t slot, length;
};

int main(int argc, char **argv)
{
	char *request = NULL;
	uint32_t capacity = 0;
	struct notice notice;
	int requests[SLOTS], replies[SLOTS];
	if (argc != 5) {
		fprintf(stderr, "usage: executor OBJECT PORTS VERDICTS DIRECTORY\n");
		return 2;
	}
	cpus = libbpf_num_possible_cpus();
	verdict_count = atoi(argv[3]);
	make_network(atoi(argv[2]));
	load(argv[1]);
	if (counters == NULL || counters == MAP_FAILED)
		die("counters");
	introduce();
	for (int slot = 0; slot < SLOTS; slot++) {
		requests[slot] = open_slot(argv[4], "request", slot);
		replies[slot] = open_slot(argv[4], "reply", slot);
	}
	while (read(0, &notice, sizeof(notice)) == sizeof(notice)) {
		uint32_t length = notice.length;
		errno = EPROTO;
		if (notice.slot >= SLOTS)
			die("slot %u", notice.slot);
		if (length > capacity) {
			capacity = 2 * length;
			request = realloc(request, capacity);
			if (request == NULL)
				die("memory");
		}
		if (pread(requests[notice.slot], request, length, 0) != (ssize_t)length)
			die("request");
		at = request;
		end = request + length;
		reply_size = 0;
		while (at < end) {
			switch (*at++) {
			case 'U':
				update();
				break;
			case 'D': {
				struct map *map = take_map();
				bpf_map_delete_elem(map->fd, take(map->key_size));
				break;
			}
			case 'R':
				run();
				break;
			case 'X':
				drain();
				break;
			case 'L':
				look_up();
				break;
			case 'Z':
				zero();
				break;
			case 'C':
				clear();
				break;
			default:
				errno = EPROTO;
				die("operation %d", at[-1]);
			}
		}
		notice.length = reply_size;
		if (pwrite(replies[notice.slot], reply, reply_size, 0) != (ssize_t)reply_size ||
		    write(1, &notice, sizeof(notice)) != sizeof(notice))
			die("reply");
	}
	return 0;
}
