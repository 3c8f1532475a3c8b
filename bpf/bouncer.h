/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stages of `bouncer`: the lookup in front of the stack. It answers ARP, and drops what is forged; data, whose
 * checksums may be partial on a veth, and everything else it leaves to `nic`.
 */
#ifndef MEGREZ_BOUNCER_H
#define MEGREZ_BOUNCER_H

#include "lookup.h"
#include "view.h"

static __always_inline enum verdict bouncer_packet(struct xdp_md *ctx, __u64 now, __u32 *vni)
{
	struct view view = view_of_xdp(ctx);
	__u32 length = bpf_xdp_get_buff_len(ctx);
	struct mapping answer = {};
	struct tunnel tunnel = {};
	struct frame frame = {};
	struct question question;
	struct path_option *option;
	struct config *self;
	enum verdict verdict;
	__u32 zero = 0;
	__u32 options;

	self = bpf_map_lookup_elem(&config, &zero);
	if (!self)
		return VERDICT_PASS;
	verdict = parse_tunnel(&view, length, self, &tunnel, &options);
	if (verdict != CONTINUE)
		return verdict;
	*vni = tunnel.vni;
	if (options)
		verdict = parse_options(&view, options, &tunnel);
	if (verdict != CONTINUE)
		return verdict;
	if (!hear(&tunnel.source, now))
		return VERDICT_FORGED_SOURCE;
	option = at(&view, tunnel.path, sizeof(*option));
	if (!tunnel.path || !option || option->op != OP_ASK)
		return VERDICT_PASS;
	verdict = parse_frame(&view, tunnel.inner, length, &frame);
	if (verdict != CONTINUE)
		return verdict;
	if (frame.kind != FRAME_REQUEST)
		return VERDICT_PASS;
	verdict = parse_question(option, &tunnel, &frame, &question);
	if (verdict != CONTINUE)
		return verdict;
	/* A question that was passed on came another way than its answer goes. */
	if (question.hops)
		return VERDICT_PASS;
	verdict = lookup(self, &question, &frame, now, &answer);
	if (verdict != VERDICT_ANSWERED && verdict != VERDICT_ANSWERED_NONE)
		return VERDICT_PASS;
	swap_macs(&view);
	return answer_in_place(&view, self, &tunnel, &question, frame.protocol, verdict, &answer);
}

#endif
