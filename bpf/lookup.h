/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bouncer's lookup, for both hooks: decide first (nothing is written), rewrite once. An answer keeps the length of
 * its question.
 */
#ifndef MEGREZ_LOOKUP_H
#define MEGREZ_LOOKUP_H

#include "arp.h"
#include "packet.h"
#include "route.h"
#include "service.h"
#include "slot.h"

/* What is asked, as the packet says it. */
struct question {
	struct endpoint_key about;
	struct address asker;
	__be64 cookie;
	__u32 subnet; /* 0: a divider is asked */
	__u32 epoch;
	__u32 flags;
	__u32 hops;
};

/* Of the path option with ASK: CONTINUE, or why it is not believed. */
static __always_inline enum verdict parse_question(const struct path_option *option, const struct tunnel *tunnel,
						   const struct frame *frame, struct question *question)
{
	question->asker = address_from_ip4(option->host);
	question->subnet = bpf_ntohl(option->subnet);
	question->epoch = bpf_ntohl(option->epoch);
	question->flags = bpf_ntohs(option->flags);
	question->hops = option->hops;
	question->cookie = option->cookie;
	question->about.vni = tunnel->vni;
	question->about.ip = frame->destination;
	if (question->hops == 0 ? !address_equal(&question->asker, &tunnel->source) :
				  !underlay_accepts(&question->asker))
		return VERDICT_FORGED_HOST;
	return CONTINUE;
}

/* Who else may know; all zero when nobody should be asked any more. Writes down in the question what was tried. */
static __always_inline struct address ask_another(const struct config *config, struct question *question,
						  const struct slot_key *key)
{
	struct slot_owners *owners = bpf_map_lookup_elem(&slots, key);
	struct address other = {};

	if (!owners)
		return other;
	if (bpf_map_lookup_elem(&holdings, key)) {
		/* A holder that may not deny: not attached, or still loading, or leaving. */
		if (question->flags & ASK_SECOND)
			return other;
		question->flags |= ASK_SECOND;
	} else {
		/* No holder: the asker's table is old, or this is a divider on the way to the bouncer. */
		if (owners->epoch <= question->epoch)
			return other;
	}
	question->epoch = owners->epoch;
	other = question->flags & ASK_TWIN ? owners->secondary : owners->primary;
	if (address_is_zero(&other) || address_equal(&other, &config->self))
		other = other_owner(owners, &config->self);
	return other;
}

/*
 * VERDICT_ANSWERED: for an ARP request; `answer` holds what to say. VERDICT_FORWARDED: `answer->host` is where to.
 * VERDICT_PINNED: data for a service, whose flow is to be given a backend.
 * VERDICT_ANSWERED_NONE, or a drop. Only a serving, attached holder may call an address unknown; any other passes the
 * question on to the slot's other owner, once; who does not hold the slot, to an owner of a newer table than the
 * asker's. A divider turns the question into one for the address's subnet first.
 */
static __always_inline enum verdict lookup(const struct config *config, struct question *question,
					   const struct frame *frame, __u64 now, struct mapping *answer)
{
	struct mapping *mapping = bpf_map_lookup_elem(&mappings, &question->about);
	struct slot_key key = { .vni = question->about.vni };
	struct service_address *service;

	if (mapping) {
		*answer = *mapping;
		question->flags &= ~OPTION_SERVICE;
		if (frame->kind == FRAME_REQUEST)
			return VERDICT_ANSWERED;
		if (address_equal(&answer->host, &config->self))
			return VERDICT_NOT_HERE;
		return question->hops < HOPS_MAX ? VERDICT_FORWARDED : VERDICT_HOPS;
	}
	service = bpf_map_lookup_elem(&services, &question->about);
	if (service) {
		question->flags = OPTION_SERVICE;
		answer->host = config->self;
		answer->generation = service->generation;
		mac_copy(answer->mac, service->mac);
		return frame->kind == FRAME_REQUEST ? VERDICT_ANSWERED : VERDICT_PINNED;
	}
	/* The asker believes in a service that is gone: whoever owns the address's own slot knows what there is now. */
	if (question->flags & OPTION_SERVICE) {
		question->flags &= ~OPTION_SERVICE;
		question->epoch = 0;
	}
	if (!question->subnet) {
		question->subnet = route_of(&question->about);
		if (question->subnet)
			question->epoch = 0;
	}
	key.subnet = question->subnet;
	key.slot = slot_of(question->about.vni, &question->about.ip);
	if (may_deny(&key, now))
		return VERDICT_ANSWERED_NONE;
	answer->host = ask_another(config, question, &key);
	if (address_is_zero(&answer->host) || address_equal(&answer->host, &question->asker))
		return VERDICT_NOT_HOLDER;
	return question->hops < HOPS_MAX ? VERDICT_FORWARDED : VERDICT_HOPS;
}

/* Turns the question into its answer; the caller sends it to the asker. */
static __always_inline enum verdict answer_in_place(const struct view *view, const struct config *config,
						    const struct tunnel *tunnel, const struct question *question,
						    __be16 protocol, enum verdict verdict,
						    const struct mapping *answer)
{
	struct path_option *option = at(view, tunnel->path, sizeof(*option));

	if (!option)
		return VERDICT_MALFORMED;
	option->hops = 0;
	option->flags = bpf_htons(question->flags & OPTION_SERVICE);
	if (verdict != VERDICT_ANSWERED_NONE) {
		option->op = OP_TELL;
		option->generation = bpf_cpu_to_be64(answer->generation);
		option->host = address_to_ip4(&answer->host);
		mac_copy(option->mac, answer->mac);
		if (verdict == VERDICT_ANSWERED && 
		    !reply_to_request(view, tunnel->inner, protocol, answer->mac, false))
			return VERDICT_MALFORMED;
	} else {
		option->op = OP_NONE;
	}
	return readdress(view, config, &question->asker) ? verdict : VERDICT_MALFORMED;
}

/* Passes the question, as it is now, on to `host`. */
static __always_inline enum verdict forward_in_place(const struct view *view, const struct config *config,
						     const struct tunnel *tunnel, const struct question *question,
						     const struct address *host)
{
	struct path_option *option = at(view, tunnel->path, sizeof(*option));

	if (!option)
		return VERDICT_MALFORMED;
	option->hops = question->hops + 1;
	option->flags = bpf_htons(question->flags);
	option->epoch = bpf_htonl(question->epoch);
	option->subnet = bpf_htonl(question->subnet);
	return readdress(view, config, host) ? VERDICT_FORWARDED : VERDICT_MALFORMED;
}

#endif
