/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the stages of one packet of an endpoint share. */
#ifndef MEGREZ_OUTGOING_H
#define MEGREZ_OUTGOING_H

#include "packet.h"

/* Whom to ask, or through whom to send. */
struct owner {
	struct address host;
	struct address suspect; /* to be probed; all zero: nobody */
	__u32 subnet;
	__u32 epoch;
	__u32 flags;
};

struct outgoing {
	struct __sk_buff *skb;
	const struct config *config;
	const struct port *port;
	__u64 now;
	int action;
	struct endpoint_key about; /* whom the packet is for */
	struct frame frame;
	struct owner owner;
	bool routed; /* to another subnet */
	struct path *known; /* a copy of what this host was told about it */
};

#endif
