/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the stages of one packet of the underlay share. */
#ifndef MEGREZ_INCOMING_H
#define MEGREZ_INCOMING_H

#include "packet.h"

struct incoming {
	struct __sk_buff *skb;
	const struct config *config;
	__u64 now;
	int action;
	struct tunnel tunnel;
	struct frame frame;
	struct endpoint_key about; /* whom the inner frame is for */
	__u32 sender; /* interface of the endpoint that is told of an error */
};

#endif
