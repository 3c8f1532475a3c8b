/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the stages of one packet of an endpoint share. */
#ifndef MEGREZ_OUTGOING_H
#define MEGREZ_OUTGOING_H

#include "packet.h"

/* Of Ethernet. */
struct link_address {
	__u8 bytes[6];
} __attribute__((aligned(2)));

/* Whom to ask, or through whom to send. */
struct owner {
	struct address host;
	struct address suspect; /* to be probed; all zero: nobody */
	__u32 subnet;
	__u32 epoch;
	__u32 flags;
};

/*
 * Values only: stages that are verified for themselves get a pointer to it, and the rows that go with it - the
 * endpoint's `port`, the host's `config` - beside it.
 */
struct outgoing {
	__u64 now;
	int action;
	struct endpoint_key about; /* whom the packet is for */
	struct frame frame;
	struct owner owner;
	__u8 mac[6]; /* whom it is sent to */
	__u32 spread; /* hash of a service's flow */
	bool service; /* a backend for the flow is asked for */
	bool routed;  /* to another subnet */
	bool again;   /* its host sends it once more: checked and counted already */
};

/* The endpoint's address of the frame's family. */
static __always_inline const struct reach *reach_of(const struct port *port, __be16 protocol)
{
	return protocol == bpf_htons(ETH_P_IPV6) ? &port->ip6 : &port->ip4;
}

/* The copy of the path that was read last; NULL never happens, but the verifier does not know. */
static __always_inline struct path *known_path(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&path_copy, &zero);
}

#endif
