/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every packet is counted once, at the single exit of the program that ended it. */
#ifndef MEGREZ_COUNT_H
#define MEGREZ_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

static __always_inline void counter_add(struct counter *counter, __u32 bytes)
{
	counter->packets++;
	counter->bytes += bytes;
}

__noinline int count_drop(__u32 vni, __u32 verdict, __u32 bytes)
{
	struct drop_key key = { .vni = vni, .verdict = verdict };
	struct counter *counter = bpf_map_lookup_elem(&drops, &key);

	if (counter) {
		counter_add(counter, bytes);
	} else {
		struct counter first = { .packets = 1, .bytes = bytes };

		bpf_map_update_elem(&drops, &key, &first, BPF_NOEXIST);
	}
	return 0;
}

static __always_inline void count(enum program program, enum verdict verdict, __u32 vni, __u32 bytes)
{
	__u32 index = program * VERDICT_COUNT + verdict;
	struct counter *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter)
		counter_add(counter, bytes);
	if (verdict > VERDICT_DROP)
		count_drop(vni, verdict, bytes);
}

static __always_inline void count_sent(__u32 ifindex, __u32 bytes)
{
	struct port_key key = { .ifindex = ifindex };
	struct traffic *seen = bpf_map_lookup_elem(&traffic, &key);

	if (seen)
		counter_add(&seen->sent, bytes);
}

static __always_inline void count_received(__u32 ifindex, __u32 bytes)
{
	struct port_key key = { .ifindex = ifindex };
	struct traffic *seen = bpf_map_lookup_elem(&traffic, &key);

	if (seen)
		counter_add(&seen->received, bytes);
}

#endif
