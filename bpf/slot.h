/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which slot an address falls into. Control plane and datapath must agree for ever: packages/ring holds the same
 * function and the vectors that both are tested with.
 */
#ifndef MEGREZ_SLOT_H
#define MEGREZ_SLOT_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "maps.h"

static __always_inline __u32 slot_of(__u32 vni, const struct address *address)
{
	__u32 hash = vni ^ 0x6d656772;

	for (int i = 0; i < 4; i++) {
		hash = (hash ^ bpf_ntohl(address->word[i])) * 0x9e3779b1;
		hash ^= hash >> 15;
	}
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	hash ^= hash >> 16;
	return hash % SLOT_COUNT;
}

/* Only a serving, attached holder may say that there is no such address. */
static __always_inline bool may_deny(const struct slot_key *key, __u64 now)
{
	struct holding *holding = bpf_map_lookup_elem(&holdings, key);
	struct attachment *attachment;
	__u32 zero = 0;

	if (!holding || holding->state != HOLDING_SERVING)
		return false;
	attachment = bpf_map_lookup_elem(&attached, &zero);
	return attachment && now < attachment->until;
}

/* The owner that is not `host`; all zero when there is none. */
static __always_inline struct address other_owner(const struct slot_owners *owners, const struct address *host)
{
	if (!address_equal(&owners->primary, host))
		return owners->primary;
	if (!address_equal(&owners->secondary, host))
		return owners->secondary;
	return (struct address){};
}

#endif
