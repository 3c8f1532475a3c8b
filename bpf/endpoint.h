/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stages of `endpoint`: what a tenant sends. Nothing it sends ever reaches the host's stack. */
#ifndef MEGREZ_ENDPOINT_H
#define MEGREZ_ENDPOINT_H

#include "arp.h"
#include "ask.h"
#include "deliver.h"
#include "outgoing.h"
#include "view.h"

static __always_inline enum verdict check_source(const struct outgoing *out)
{
	if (!mac_equal(out->frame.source_mac, out->port->mac))
		return VERDICT_SPOOFED_MAC;
	if (out->frame.protocol == bpf_htons(ETH_P_IP))
		return address_equal(&out->frame.source, &out->port->ip4.ip) ? CONTINUE : VERDICT_SPOOFED_IP;
	return CONTINUE;
}

static __always_inline enum verdict check_arp(const struct outgoing *out, const struct view *view)
{
	const struct arp_packet *arp = at(view, sizeof(struct ethhdr), sizeof(*arp));

	/* A frame's least size, and no more: what is behind it is not ARP. */
	if (!arp || out->skb->len > 60)
		return VERDICT_MALFORMED;
	/* A probe (RFC 5227) has no sender address yet. */
	if (!mac_equal(arp->sender_mac, out->port->mac) ||
	    !(arp->sender == 0 || address_equal(&out->frame.source, &out->port->ip4.ip)))
		return VERDICT_SPOOFED_ARP;
	if (address_equal(&out->frame.destination, &out->port->ip4.ip))
		return VERDICT_ARP_SELF;
	if (out->frame.operation != bpf_htons(1))
		return VERDICT_ARP_REPLY;
	if (!address_in(&out->frame.destination, &out->port->ip4.network, &out->port->ip4.mask))
		return VERDICT_NO_ROUTE;
	return CONTINUE;
}

/* The request's answer, back to the endpoint. */
static __always_inline enum verdict answer_arp(struct outgoing *out, const __u8 *mac, enum verdict verdict)
{
	struct view view = view_of_skb(out->skb);

	if (!arp_reply(&view, 0, mac))
		return VERDICT_MALFORMED;
	out->action = bpf_redirect(out->skb->ifindex, 0);
	return verdict;
}

static __noinline enum verdict ask_arp(struct outgoing *out, const struct owner *owner)
{
	struct view view = view_of_skb(out->skb);
	struct arp_packet *arp = at(&view, sizeof(struct ethhdr), sizeof(*arp));
	struct outer_arp outer;
	enum verdict verdict;

	if (!arp)
		return VERDICT_MALFORMED;
	/* The answer to a probe would have no address to go to. */
	if (arp->sender == 0)
		arp->sender = address_to_ip4(&out->port->ip4.ip);
	fill_ask(&outer.path, out->config, &out->about, out->port->subnet, owner->epoch, out->now);
	verdict = encap_arp(out->skb, out->config, out->port->vni, &owner->host, &outer, &out->action);
	return verdict == CONTINUE ? VERDICT_ASK_ARP : verdict;
}

static __always_inline enum verdict endpoint_arp(struct outgoing *out, const struct view *view)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	struct endpoint *endpoint;
	struct owner owner;
	enum verdict verdict = check_arp(out, view);

	if (verdict != CONTINUE)
		return verdict;
	if (address_equal(&out->frame.destination, &out->port->ip4.gateway))
		return answer_arp(out, gateway_mac, VERDICT_ARP_GATEWAY);
	endpoint = bpf_map_lookup_elem(&endpoints, &out->about);
	if (endpoint)
		return answer_arp(out, endpoint->mac, VERDICT_ARP_LOCAL);
	if (path_read(&out->about, out->known)) {
		if (out->known->state == PATH_TOLD && elapsed(out->known->told_at, out->now) < out->config->hard_lease_ns)
			return answer_arp(out, out->known->mac, VERDICT_ARP_PATH);
		if (out->known->state == PATH_NONE && elapsed(out->known->told_at, out->now) < out->config->negative_ns)
			return VERDICT_UNKNOWN_ADDRESS;
	}
	verdict = find_owner(out, &owner);
	if (verdict == KNOWN)
		return answer_arp(out, out->known->mac, VERDICT_ARP_OWNED);
	return verdict == CONTINUE ? ask_arp(out, &owner) : verdict;
}

static __always_inline enum verdict check_destination(struct outgoing *out)
{
	__be32 ip = address_to_ip4(&out->frame.destination);

	if (address_equal(&out->frame.destination, &out->port->ip4.ip))
		return VERDICT_TO_SELF;
	if ((ip & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000))
		return VERDICT_MULTICAST;
	if (ip == bpf_htonl(0xffffffff))
		return VERDICT_BROADCAST;
	if (!address_in(&out->frame.destination, &out->port->ip4.network, &out->port->ip4.mask))
		return VERDICT_NO_ROUTE;
	if ((ip | out->port->ip4.mask.word[3]) == bpf_htonl(0xffffffff))
		return VERDICT_BROADCAST;
	return CONTINUE;
}

static __always_inline bool too_big(const struct outgoing *out)
{
	__u32 size = out->skb->gso_size;

	if (size)
		return size + (out->frame.transport == IPPROTO_TCP ? 40 : 28) > out->port->mtu;
	return out->skb->len - sizeof(struct ethhdr) > out->port->mtu;
}

static __always_inline enum verdict deliver_local(struct outgoing *out, const struct endpoint *endpoint)
{
	if (!endpoint->ifindex)
		return VERDICT_NOT_HERE;
	if (!mac_equal(out->frame.destination_mac, endpoint->mac) &&
	    bpf_skb_store_bytes(out->skb, 0, endpoint->mac, 6, 0))
		return VERDICT_KERNEL;
	out->action = deliver_ip(endpoint, out->skb->len);
	return VERDICT_LOCAL;
}

/* The tunnel's headers for this packet, but for where it goes. */
static __always_inline struct encap encap_of(const struct outgoing *out, const struct address *host, const __u8 *mac)
{
	struct view view = view_of_skb(out->skb);
	struct encap encap = {
		.config = out->config,
		.host = host,
		.vni = out->port->vni,
		.source_port = source_port(flow_hash(&view, sizeof(struct ethhdr))),
		.tos = out->frame.tos,
	};

	mac_copy(encap.destination_mac, mac);
	mac_copy(encap.source_mac, out->port->mac);
	return encap;
}

static __noinline enum verdict send_direct(struct outgoing *out)
{
	struct encap encap = encap_of(out, &out->known->host, out->known->mac);
	enum verdict verdict;

	/* It was here, and is not any more, or not yet. */
	if (address_equal(&out->known->host, &out->config->self))
		return VERDICT_NOT_HERE;
	verdict = encap_direct(out->skb, &encap, &out->action);
	return verdict == CONTINUE ? VERDICT_DIRECT : verdict;
}

/* The packet itself asks: the path's host, or an owner of the slot, which passes it on. */
static __noinline enum verdict send_with_ask(struct outgoing *out, const struct owner *to, const __u8 *mac)
{
	struct encap encap = encap_of(out, &to->host, mac);
	struct outer_ask outer;

	fill_ask(&outer.path, out->config, &out->about, out->port->subnet, to->epoch, out->now);
	return encap_path(out->skb, &encap, &outer, &out->action);
}

static __always_inline enum verdict send_renewing(struct outgoing *out)
{
	struct owner to = { .host = out->known->host };
	enum verdict verdict = send_with_ask(out, &to, out->known->mac);

	return verdict == CONTINUE ? VERDICT_DIRECT_ASK : verdict;
}

static __always_inline enum verdict send_via(struct outgoing *out, const struct owner *owner)
{
	enum verdict verdict = send_with_ask(out, owner, out->frame.destination_mac);

	return verdict == CONTINUE ? VERDICT_ASK_DATA : verdict;
}

/* Through an owner of the slot, or directly, if this host turns out to hold the answer itself. */
static __always_inline enum verdict send_asking(struct outgoing *out, struct owner *owner)
{
	enum verdict verdict = find_owner(out, owner);

	if (verdict == KNOWN)
		return send_direct(out);
	return verdict == CONTINUE ? send_via(out, owner) : verdict;
}

/* Also a path that is renewed for ever is checked with a bouncer now and then; streams wait for a smaller packet. */
static __always_inline bool check_due(const struct outgoing *out)
{
	__u64 due = out->config->check_ns;

	if (out->skb->gso_size)
		due += due / 2;
	return elapsed(out->known->checked_at, out->now) >= due;
}

/*
 * Whether this packet carries ASK to the path's own host. Packets that the wire will cut up carry it only when nothing
 * smaller came along for half of the time that is left.
 */
static __always_inline bool renewal_due(const struct outgoing *out, __u64 age)
{
	__u64 due = out->config->soft_lease_ns;

	if (out->skb->gso_size)
		due = (due + out->config->hard_lease_ns) / 2;
	return age >= due && elapsed(out->known->asked_at, out->now) >= out->config->retry_ns;
}

/* The packet takes a path that may be believed. */
static __always_inline enum verdict send_known(struct outgoing *out, struct path *path, struct owner *owner)
{
	if (check_due(out)) {
		enum verdict verdict = find_owner(out, owner);

		if (verdict == CONTINUE)
			return send_via(out, owner);
		if (verdict == VERDICT_UNKNOWN_ADDRESS)
			return verdict;
		/* A check that cannot be made takes nothing away. */
		path->checked_at = out->now;
	}
	if (!renewal_due(out, elapsed(out->known->told_at, out->now)))
		return send_direct(out);
	path->asked_at = out->now;
	return send_renewing(out);
}

static __always_inline enum verdict endpoint_ip(struct outgoing *out)
{
	struct endpoint *endpoint;
	struct owner owner;
	struct path *path;
	enum verdict verdict;
	__u64 age;

	if (address_equal(&out->frame.destination, &out->port->ip4.gateway)) {
		struct view view = view_of_skb(out->skb);

		if (!ping_reply(&view))
			return VERDICT_TO_GATEWAY;
		out->action = bpf_redirect(out->skb->ifindex, 0);
		return VERDICT_PING_GATEWAY;
	}
	verdict = check_destination(out);
	if (verdict != CONTINUE)
		return verdict;
	if (too_big(out))
		return VERDICT_TOO_BIG;
	endpoint = bpf_map_lookup_elem(&endpoints, &out->about);
	if (endpoint)
		return deliver_local(out, endpoint);
	path = path_read(&out->about, out->known);
	if (!path)
		return send_asking(out, &owner);
	age = elapsed(out->known->told_at, out->now);
	if (out->known->state == PATH_NONE && age < out->config->negative_ns)
		return VERDICT_UNKNOWN_ADDRESS;
	if (out->known->state != PATH_TOLD || age >= out->config->hard_lease_ns)
		return send_asking(out, &owner);
	return send_known(out, path, &owner);
}

static __always_inline enum verdict endpoint_packet(struct outgoing *out)
{
	struct port_key key = { .ifindex = out->skb->ifindex };
	__u32 zero = 0;
	struct view view;
	enum verdict verdict;

	out->port = bpf_map_lookup_elem(&ports, &key);
	out->config = bpf_map_lookup_elem(&config, &zero);
	out->known = bpf_map_lookup_elem(&path_copy, &zero);
	if (!out->port || !out->config || !out->known)
		return VERDICT_NO_PORT;
	out->about.vni = out->port->vni;
	if (out->skb->vlan_present)
		return VERDICT_VLAN;
	view = view_of_headers(out->skb, FRAME_HEADERS);
	verdict = parse_frame(&view, 0, out->skb->len, &out->frame);
	if (verdict == CONTINUE)
		verdict = check_source(out);
	if (verdict != CONTINUE)
		return verdict;
	out->about.ip = out->frame.destination;
	if (out->frame.protocol == bpf_htons(ETH_P_ARP))
		return endpoint_arp(out, &view);
	return endpoint_ip(out);
}

#endif
