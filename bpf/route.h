/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which subnet an address of a VPC is in, as far as this host knows. */
#ifndef MEGREZ_ROUTE_H
#define MEGREZ_ROUTE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

/* The number of the subnet; 0: none is known here, which only a divider may call final. */
static __always_inline __u32 route_of(const struct endpoint_key *about)
{
	struct route_key key = { .length = 32 + 128, .vni = about->vni, .address = about->ip };
	struct route *route = bpf_map_lookup_elem(&routes, &key);

	return route ? route->subnet : 0;
}

#endif
