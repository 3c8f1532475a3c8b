/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets for endpoints that left this host: passed on to where they are now, and their senders' hosts told. tc only. */
#ifndef MEGREZ_LEFT_H
#define MEGREZ_LEFT_H

#include "encap.h"
#include "incoming.h"
#include "notice.h"

/* Packets without an option count their passing on in the outer time to live, which starts at OUTER_TTL. */
#define PASSED_ON_COST 16

/* The row that may still be believed. */
static __always_inline struct tombstone *find_tombstone(const struct endpoint_key *about, __u64 now)
{
	struct tombstone *left = bpf_map_lookup_elem(&tombstones, about);

	return left && now < left->until ? left : NULL;
}

/* What goes where the outer headers of a packet without an option are. */
struct outer_told {
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct path_option path;
} __attribute__((packed, aligned(2)));

/* The packet becomes the notice to its sender's host that the endpoint left; it goes the way it came. */
static __always_inline enum verdict gone_in_place(struct incoming *in)
{
	struct path_option *option;
	struct view view = view_of_skb(in->skb);

	option = at(&view, in->tunnel.path, sizeof(*option));
	if (!option)
		return VERDICT_MALFORMED;
	option->op = OP_GONE;
	option->hops = 0;
	option->flags = 0;
	option->host = address_to_ip4(&in->config->self);
	swap_macs(&view);
	return readdress(&view, in->config, &in->tunnel.source) ? CONTINUE : VERDICT_MALFORMED;
}

/* The asking packet, in its whole length, goes back. */
static __noinline enum verdict answer_gone(struct incoming *in)
{
	enum verdict verdict;

	if (!notice_due(&in->tunnel.source, &in->about, in->now))
		return VERDICT_NOT_HERE;
	verdict = gone_in_place(in);
	if (verdict != CONTINUE)
		return verdict;
	in->action = bpf_redirect(in->skb->ifindex, 0);
	return VERDICT_ANSWERED_GONE;
}

/* Room for the option behind Geneve's header of a packet that has none. */
static __noinline enum verdict add_option(struct incoming *in)
{
	struct outer_told outer;
	__u32 length = in->skb->len + sizeof(outer.path) - sizeof(struct ethhdr);

	fill_path(&outer.path, OP_GONE);
	fill_ip(&outer.ip, in->config, &in->tunnel.source, length, 0);
	outer.udp = outer_udp(source_port(in->about.ip.word[3]), length - sizeof(outer.ip));
	/* Options that were there stay, behind this one. */
	fill_geneve(&outer.geneve, in->tunnel.vni,
		    sizeof(outer.path) + in->tunnel.inner - sizeof(struct outer_headers));
	if (bpf_skb_adjust_room(in->skb, sizeof(outer.path), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_store_bytes(in->skb, sizeof(struct ethhdr), &outer, sizeof(outer), 0))
		return VERDICT_KERNEL;
	in->tunnel.path = sizeof(struct outer_headers);
	in->tunnel.inner += sizeof(outer.path);
	return gone_in_place(in);
}

/* The same packet as before, without an option, to the host where the endpoint is now. */
static __noinline enum verdict pass_on(struct incoming *in, const struct address *host)
{
	struct view view = view_of_skb(in->skb);
	struct outer_headers *outer = at(&view, 0, sizeof(*outer));
	__u8 ttl;

	if (!outer)
		return VERDICT_MALFORMED;
	ttl = outer->ip.ttl;
	if (ttl <= PASSED_ON_COST)
		return VERDICT_HOPS;
	if (!readdress_hop(&view, in->config, host, ttl - PASSED_ON_COST))
		return VERDICT_MALFORMED;
	in->action = redirect_to(in->config, host);
	return VERDICT_FORWARDED_MOVED;
}

/* The same, and a clone of it tells the sender's host that its path is old. */
static __noinline enum verdict pass_on_telling(struct incoming *in, const struct address *host)
{
	struct outer_headers before;
	enum verdict verdict;

	if (bpf_skb_load_bytes(in->skb, 0, &before, sizeof(before)))
		return VERDICT_MALFORMED;
	verdict = add_option(in);
	if (verdict != CONTINUE)
		return verdict;
	bpf_clone_redirect(in->skb, in->skb->ifindex, 0);
	if (bpf_skb_adjust_room(in->skb, -(__s32)sizeof(struct path_option), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_store_bytes(in->skb, 0, &before, sizeof(before), 0))
		return VERDICT_KERNEL;
	return pass_on(in, host);
}

/*
 * Data without an option for an address that is not here any more, or never was. What the wire will cut up is only
 * passed on: a smaller packet will tell.
 */
static __noinline enum verdict not_here(struct incoming *in)
{
	struct tombstone *left = find_tombstone(&in->about, in->now);
	struct address host = {};
	bool due;

	if (left)
		host = left->host;
	due = !in->skb->gso_size && notice_due(&in->tunnel.source, &in->about, in->now);
	if (!address_is_zero(&host))
		return due ? pass_on_telling(in, &host) : pass_on(in, &host);
	if (!due || add_option(in) != CONTINUE)
		return VERDICT_NOT_HERE;
	in->action = bpf_redirect(in->skb->ifindex, 0);
	return VERDICT_ANSWERED_GONE;
}

#endif
