/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bouncer's lookup, for both hooks: decide first (nothing is written), rewrite once. An answer keeps the length of
 * its question.
 */
#ifndef MEGREZ_LOOKUP_H
#define MEGREZ_LOOKUP_H

#include "arp.h"
#include "packet.h"
#include "slot.h"

/* What is asked, as the packet says it. */
struct question {
	struct endpoint_key about;
	struct address asker;
	__be64 cookie;
	__u32 subnet;
	__u32 hops;
};

/* Of the path option with ASK: CONTINUE, or why it is not believed. */
static __always_inline enum verdict parse_question(const struct path_option *option, const struct tunnel *tunnel,
						   const struct frame *frame, struct question *question)
{
	question->asker = address_from_ip4(option->host);
	question->subnet = bpf_ntohl(option->subnet);
	question->hops = option->hops;
	question->cookie = option->cookie;
	question->about.vni = tunnel->vni;
	question->about.ip = frame->destination;
	if (question->hops == 0 ? !address_equal(&question->asker, &tunnel->source) :
				  !underlay_accepts(&question->asker))
		return VERDICT_FORGED_HOST;
	return CONTINUE;
}

/*
 * VERDICT_ANSWERED: for an ARP request; `mapping` holds what to say. VERDICT_FORWARDED: data; `mapping.host` is where
 * to. VERDICT_ANSWERED_NONE, or a drop. Only a serving, attached holder may call an address unknown; any other passes
 * the question on to the slot's other owner, once.
 */
static __always_inline enum verdict lookup(const struct config *config, const struct question *question,
					   const struct frame *frame, __u64 now, struct mapping *answer)
{
	struct mapping *mapping = bpf_map_lookup_elem(&mappings, &question->about);
	struct slot_key key = { .vni = question->about.vni, .subnet = question->subnet };
	struct slot_owners *owners;

	if (mapping) {
		*answer = *mapping;
		if (frame->protocol == bpf_htons(ETH_P_ARP))
			return VERDICT_ANSWERED;
		if (address_equal(&answer->host, &config->self))
			return VERDICT_NOT_HERE;
		return question->hops < HOPS_MAX ? VERDICT_FORWARDED : VERDICT_HOPS;
	}
	key.slot = slot_of(question->about.vni, &question->about.ip);
	if (may_deny(&key, now))
		return VERDICT_ANSWERED_NONE;
	owners = bpf_map_lookup_elem(&slots, &key);
	if (!owners)
		return VERDICT_NOT_HOLDER;
	answer->host = other_owner(owners, &config->self);
	if (address_is_zero(&answer->host) || address_equal(&answer->host, &question->asker))
		return VERDICT_NOT_HOLDER;
	return question->hops < 1 ? VERDICT_FORWARDED : VERDICT_HOPS;
}

static __always_inline void swap_macs(const struct view *view)
{
	struct ethhdr *eth = at(view, 0, sizeof(*eth));
	__u8 mac[6];

	if (!eth)
		return;
	mac_copy(mac, eth->h_dest);
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, mac);
}

/* From this host to `host`; the link-layer addresses are the caller's. */
static __always_inline bool readdress(const struct view *view, const struct config *config, const struct address *host)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} *outer = at(view, sizeof(struct ethhdr), sizeof(*outer));

	if (!outer)
		return false;
	outer->ip.saddr = address_to_ip4(&config->self);
	outer->ip.daddr = address_to_ip4(host);
	outer->ip.ttl = 64;
	outer->ip.check = 0;
	outer->ip.check = ip4_checksum(&outer->ip);
	outer->udp.check = 0;
	return true;
}

/* Turns the question into its answer; the caller sends it to the asker. */
static __always_inline enum verdict answer_in_place(const struct view *view, const struct config *config,
						    const struct tunnel *tunnel, const struct question *question,
						    enum verdict verdict, const struct mapping *answer)
{
	struct path_option *option = at(view, tunnel->path, sizeof(*option));

	if (!option)
		return VERDICT_MALFORMED;
	option->hops = 0;
	if (verdict == VERDICT_ANSWERED) {
		option->op = OP_TELL;
		option->generation = bpf_cpu_to_be64(answer->generation);
		option->host = address_to_ip4(&answer->host);
		mac_copy(option->mac, answer->mac);
		if (!arp_reply(view, tunnel->inner, answer->mac))
			return VERDICT_MALFORMED;
	} else {
		option->op = OP_NONE;
	}
	return readdress(view, config, &question->asker) ? verdict : VERDICT_MALFORMED;
}

/* Passes the question on to `host`. */
static __always_inline enum verdict forward_in_place(const struct view *view, const struct config *config,
						     const struct tunnel *tunnel, const struct address *host)
{
	struct path_option *option = at(view, tunnel->path, sizeof(*option));

	if (!option)
		return VERDICT_MALFORMED;
	option->hops++;
	return readdress(view, config, host) ? VERDICT_FORWARDED : VERDICT_MALFORMED;
}

#endif
