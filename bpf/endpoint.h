/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stages of `endpoint`: what a tenant sends. Nothing it sends ever reaches the host's stack. */
#ifndef MEGREZ_ENDPOINT_H
#define MEGREZ_ENDPOINT_H

#include "arp.h"
#include "ask.h"
#include "deliver.h"
#include "error.h"
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

static __noinline enum verdict ask_arp(struct outgoing *out)
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
	fill_ask(&outer.path, out);
	verdict = encap_arp(out->skb, out->config, out->port->vni, &out->owner.host, &outer, &out->action);
	if (verdict != CONTINUE)
		return verdict;
	if (!address_is_zero(&out->owner.suspect))
		probe(out->skb, out->config, &out->owner.suspect, out->now);
	return VERDICT_ASK_ARP;
}

static __always_inline enum verdict endpoint_arp(struct outgoing *out, const struct view *view)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	struct endpoint *endpoint;
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
	verdict = find_owner(out);
	if (verdict == KNOWN)
		return answer_arp(out, out->known->mac, VERDICT_ARP_OWNED);
	return verdict == CONTINUE ? ask_arp(out) : verdict;
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
	if (!address_in(&out->frame.destination, &out->port->ip4.network, &out->port->ip4.mask)) {
		out->routed = true;
		return CONTINUE;
	}
	if ((ip | out->port->ip4.mask.word[3]) == bpf_htonl(0xffffffff))
		return VERDICT_BROADCAST;
	return CONTINUE;
}

/* The packet cannot go where it should, and its sender hears of it. */
static __noinline enum verdict refuse(struct outgoing *out, const struct error *error)
{
	return tell_error(out->skb, out->port, out->skb->ifindex, out->now, error, &out->action);
}

static __noinline enum verdict unreachable(struct outgoing *out)
{
	struct error error = ERROR_UNREACHABLE;

	return refuse(out, &error);
}

static __noinline enum verdict refuse_too_big(struct outgoing *out)
{
	struct error error = ERROR_TOO_BIG;

	error.mtu = out->port->mtu;
	return refuse(out, &error);
}

/* One hop, the gateway's: what lies between hosts is none. */
static __noinline enum verdict route_hop(struct outgoing *out)
{
	struct error error = ERROR_EXPIRED;
	struct view view = view_of_skb(out->skb);
	struct iphdr *ip = at(&view, sizeof(struct ethhdr), sizeof(*ip));
	__u32 sum;

	if (!ip)
		return VERDICT_MALFORMED;
	if (ip->ttl <= 1)
		return refuse(out, &error);
	/* RFC 1624: the high byte of the word falls by one. */
	sum = ip->check + bpf_htons(0x0100);
	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
	return CONTINUE;
}

/* Whom the destination sees as the sender's link-layer address: another subnet's packets come from the gateway. */
static __always_inline void source_mac(const struct outgoing *out, __u8 *mac)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;

	mac_copy(mac, out->routed ? gateway_mac : out->port->mac);
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
	if (out->routed || !mac_equal(out->frame.destination_mac, endpoint->mac)) {
		struct view view = view_of_skb(out->skb);
		struct ethhdr *eth = at(&view, 0, sizeof(*eth));

		if (!eth)
			return VERDICT_MALFORMED;
		mac_copy(eth->h_dest, endpoint->mac);
		source_mac(out, eth->h_source);
	}
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
	source_mac(out, encap.source_mac);
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

/* The packet itself asks `out->owner`: the path's host, or an owner of the slot, which passes it on. */
static __noinline enum verdict send_with_ask(struct outgoing *out, const __u8 *mac)
{
	struct encap encap = encap_of(out, &out->owner.host, mac);
	struct outer_ask outer;

	fill_ask(&outer.path, out);
	return encap_path(out->skb, &encap, &outer, &out->action);
}

static __always_inline enum verdict send_renewing(struct outgoing *out)
{
	enum verdict verdict;

	out->owner.host = out->known->host;
	out->owner.subnet = out->routed ? 0 : out->port->subnet;
	out->owner.epoch = 0;
	out->owner.flags = 0;
	verdict = send_with_ask(out, out->known->mac);
	return verdict == CONTINUE ? VERDICT_DIRECT_ASK : verdict;
}

static __always_inline enum verdict send_via(struct outgoing *out)
{
	enum verdict verdict = send_with_ask(out, out->frame.destination_mac);

	if (verdict != CONTINUE)
		return verdict;
	if (!address_is_zero(&out->owner.suspect) && !out->skb->gso_size)
		probe(out->skb, out->config, &out->owner.suspect, out->now);
	return VERDICT_ASK_DATA;
}

/* Through an owner of the slot, or directly, if this host turns out to hold the answer itself. */
static __always_inline enum verdict send_asking(struct outgoing *out)
{
	enum verdict verdict = find_owner(out);

	if (verdict == KNOWN)
		return send_direct(out);
	if (verdict == VERDICT_UNKNOWN_ADDRESS)
		return unreachable(out);
	return verdict == CONTINUE ? send_via(out) : verdict;
}

/* Of the path's host; packets that the wire will cut up ask nothing, a smaller one will come along. */
static __always_inline enum life path_life(struct outgoing *out, struct path *path)
{
	enum life life;

	if (elapsed(out->known->live_at, out->now) < PROBE_NS || out->skb->gso_size)
		return LIFE_ALIVE;
	life = host_life(&out->known->host, out->now);
	if (life == LIFE_ALIVE)
		path->live_at = out->now;
	return life;
}

/* Also a path that is renewed for ever is checked with a bouncer now and then; streams wait for a smaller packet. */
static __always_inline bool check_due(const struct outgoing *out, enum life life)
{
	__u64 due = life == LIFE_SILENT ? PROBE_NS : out->config->check_ns;

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
static __always_inline enum verdict send_known(struct outgoing *out, struct path *path)
{
	enum life life = path_life(out, path);

	if (check_due(out, life)) {
		enum verdict verdict = find_owner(out);

		if (verdict == CONTINUE)
			return send_via(out);
		if (verdict == VERDICT_UNKNOWN_ADDRESS)
			return unreachable(out);
		/* A check that cannot be made takes nothing away. */
		path->checked_at = out->now;
	}
	if (life != LIFE_ASK && !renewal_due(out, elapsed(out->known->told_at, out->now)))
		return send_direct(out);
	path->asked_at = out->now;
	return send_renewing(out);
}

static __always_inline enum verdict endpoint_ip(struct outgoing *out)
{
	struct endpoint *endpoint;
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
		return refuse_too_big(out);
	if (out->routed) {
		verdict = route_hop(out);
		if (verdict != CONTINUE)
			return verdict;
	}
	endpoint = bpf_map_lookup_elem(&endpoints, &out->about);
	if (endpoint)
		return deliver_local(out, endpoint);
	path = path_read(&out->about, out->known);
	if (!path)
		return send_asking(out);
	age = elapsed(out->known->told_at, out->now);
	if (out->known->state == PATH_NONE && age < out->config->negative_ns)
		return unreachable(out);
	if (out->known->state != PATH_TOLD || age >= out->config->hard_lease_ns)
		return send_asking(out);
	return send_known(out, path);
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
