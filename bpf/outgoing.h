/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the stages of one packet of an endpoint share. */
#ifndef MEGREZ_OUTGOING_H
#define MEGREZ_OUTGOING_H

#include "packet.h"

struct outgoing {
	struct __sk_buff *skb;
	const struct config *config;
	const struct port *port;
	__u64 now;
	int action;
	struct endpoint_key about; /* whom the packet is for */
	struct frame frame;
	struct path *known; /* a copy of what this host was told about it */
};

#endif
