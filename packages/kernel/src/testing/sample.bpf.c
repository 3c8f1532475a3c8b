// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the specs of this package load: one map of each kind that matters, two tc programs, one XDP program.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct wide_key {
	__u32 vni;
	__u8 address[16];
};

struct lpm_key {
	__u32 prefix_length;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct wide_key);
	__type(value, __u64);
	__uint(max_entries, 20000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4096);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4096);
} counts_by_cpu_and_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 16);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct lpm_key);
	__type(value, __u32);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

volatile const __u32 verdict = 0; /* TC_ACT_OK */
volatile const __u64 magic = 7;

static __always_inline void count(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);
	if (counter)
		*counter += 1;
}

SEC("tc") int inward(struct __sk_buff *skb)
{
	count(0);
	skb->mark = skb->mark + (__u32)magic;
	return (int)verdict;
}

SEC("tc") int outward(struct __sk_buff *skb)
{
	struct {
		__u32 length, ifindex;
	} event = { skb->len, skb->ifindex };
	count(1);
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

SEC("xdp.frags") int arrive(struct xdp_md *xdp)
{
	count(2);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
