// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the datapath's programs are timed with. An answer overwrites its question, so `again` writes the question anew
 * before each run, about the next address, and calls the program that is timed. `floor_xdp` and `floor_tc` are what the
 * programs are compared with: they parse as far, look nothing up and write nothing.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Bytes of the question; its last four are the address that is asked for. */
#ifndef LENGTH
#define LENGTH 136
#endif

enum { GENEVE = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr), MAX_QUESTIONS = 1 << 20 };

struct question {
	__be32 vni; /* as in the header: eight bits of nothing follow */
	__be32 ip;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_QUESTIONS);
	__type(key, __u32);
	__type(value, struct question);
} questions SEC(".maps");

struct packet {
	char bytes[LENGTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct packet);
} original SEC(".maps");

struct control {
	__u32 count; /* of questions */
	__u32 next;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} timed SEC(".maps");

SEC("xdp.frags")
int again(struct xdp_md *ctx)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct question *question;
	struct packet *packet;
	struct control *state;
	__u32 zero = 0, turn;

	packet = bpf_map_lookup_elem(&original, &zero);
	state = bpf_map_lookup_elem(&control, &zero);
	if (!packet || !state || data + LENGTH > end)
		return XDP_ABORTED;
	turn = state->next;
	state->next = turn + 1 < state->count ? turn + 1 : 0;
	question = bpf_map_lookup_elem(&questions, &turn);
	if (!question)
		return XDP_ABORTED;
	__builtin_memcpy(data, packet->bytes, LENGTH);
	__builtin_memcpy(data + GENEVE + 4, &question->vni, sizeof(question->vni));
	__builtin_memcpy(data + LENGTH - 4, &question->ip, sizeof(question->ip));
	bpf_tail_call(ctx, &timed, 0);
	return XDP_ABORTED;
}

/* Outer headers, every option, inner Ethernet. */
static __always_inline int parse(const char *data, const char *end)
{
	const struct ethhdr *eth = (const void *)data;
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip + 1);
	const __u8 *geneve = (const void *)(udp + 1);
	__u32 left;

	if ((const char *)(geneve + 8) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != 17)
		return 0;
	if (udp->dest != bpf_htons(6081))
		return 0;
	left = (geneve[0] & 63) * 4;
	geneve += 8;
	for (int i = 0; i < 8 && left; i++) {
		__u32 size;

		if ((const char *)(geneve + 4) > end)
			return 0;
		size = 4 + (geneve[3] & 31) * 4;
		if (size > left)
			return 0;
		left -= size;
		geneve += size;
	}
	eth = (const void *)geneve;
	return (const char *)(eth + 1) <= end && eth->h_proto != 0;
}

SEC("xdp.frags")
int floor_xdp(struct xdp_md *ctx)
{
	return parse((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_TX : XDP_PASS;
}

SEC("tc")
int floor_tc(struct __sk_buff *skb)
{
	return parse((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_REDIRECT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
