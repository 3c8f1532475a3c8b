/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the view of a packet comes from, per hook. */
#ifndef MEGREZ_VIEW_H
#define MEGREZ_VIEW_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "packet.h"

static __always_inline struct view view_of_skb(struct __sk_buff *skb)
{
	return (struct view){ .data = (__u8 *)(long)skb->data, .end = (__u8 *)(long)skb->data_end };
}

/* Makes `bytes` of the packet, or all of a shorter one, readable. */
static __always_inline struct view view_of_headers(struct __sk_buff *skb, __u32 bytes)
{
	struct view view = view_of_skb(skb);

	if (bytes > skb->len)
		bytes = skb->len;
	if (view.end - view.data < bytes) {
		bpf_skb_pull_data(skb, bytes);
		view = view_of_skb(skb);
	}
	return view;
}

/* The frame at `offset`, read from what may have to be pulled together first. */
__noinline int parse_frame_of_skb(struct __sk_buff *skb, __u32 offset, struct frame *frame)
{
	struct view view;
	__be16 *protocol;

	if (!frame || offset > HEADERS_MAX)
		return VERDICT_MALFORMED;
	view = view_of_headers(skb, offset + FRAME_HEADERS);
	protocol = at(&view, offset + 12, sizeof(*protocol));
	if (protocol && *protocol == bpf_htons(ETH_P_IPV6))
		view = view_of_headers(skb, offset + FRAME6_HEADERS);
	return parse_frame(&view, offset, skb->len, frame);
}

static __always_inline struct view view_of_xdp(struct xdp_md *ctx)
{
	return (struct view){ .data = (__u8 *)(long)ctx->data, .end = (__u8 *)(long)ctx->data_end };
}

#endif
