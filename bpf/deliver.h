/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last step to an endpoint of this host. tc only. */
#ifndef MEGREZ_DELIVER_H
#define MEGREZ_DELIVER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "count.h"
#include "packet.h"

/* An IP packet goes straight into the peer's namespace; a tap has no peer. */
static __always_inline int deliver_ip(const struct endpoint *endpoint, __u32 bytes)
{
	count_received(endpoint->ifindex, bytes);
	if (endpoint->flags & ENDPOINT_VETH)
		return bpf_redirect_peer(endpoint->ifindex, 0);
	return bpf_redirect(endpoint->ifindex, 0);
}

/*
 * Through the interface, as a frame from outside: redirect_peer would keep the outer packet's protocol, and IP's
 * receiver would get ARP.
 */
static __always_inline int deliver_frame(const struct endpoint *endpoint, __u32 bytes)
{
	count_received(endpoint->ifindex, bytes);
	return bpf_redirect(endpoint->ifindex, 0);
}

#endif
