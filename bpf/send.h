/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a packet of an endpoint leaves its host, or does not. tc only. */
#ifndef MEGREZ_SEND_H
#define MEGREZ_SEND_H

#include "ask.h"
#include "error.h"
#include "flow.h"
#include "outgoing.h"

/* Whom the destination sees as the sender's link-layer address: another subnet's packets come from the gateway. */
static __always_inline void source_mac(const struct port *port, const struct outgoing *out, __u8 *mac)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;

	mac_copy(mac, out->routed ? gateway_mac : port->mac);
}

/* The tunnel's headers for this packet, but for where it goes. */
static __always_inline struct encap encap_of(struct __sk_buff *skb, const struct config *config,
					     const struct port *port, const struct outgoing *out,
					     const struct address *host)
{
	struct view view = view_of_skb(skb);
	struct encap encap = {
		.config = config,
		.host = host,
		.vni = out->about.vni,
		.protocol = out->frame.protocol,
		.tos = out->frame.tos,
	};

	encap.source_port = source_port(out->frame.protocol == bpf_htons(ETH_P_IPV6) ?
						flow_hash6(&view, sizeof(struct ethhdr)) :
						flow_hash(&view, sizeof(struct ethhdr)));

	mac_copy(encap.destination_mac, out->mac);
	source_mac(port, out, encap.source_mac);
	return encap;
}

/* To the host that known_path() leads to. */
__noinline int send_direct(struct __sk_buff *skb, const struct config *config, const struct port *port,
			   struct outgoing *out)
{
	struct path *known = known_path();
	struct encap encap;
	enum verdict verdict;

	if (!config || !port || !out || !known)
		return VERDICT_KERNEL;
	/* It was here, and is not any more, or not yet. */
	if (address_equal(&known->host, &config->self))
		return VERDICT_NOT_HERE;
	mac_copy(out->mac, known->mac);
	encap = encap_of(skb, config, port, out, &known->host);
	verdict = encap_direct(skb, &encap, &out->action);
	return verdict == CONTINUE ? VERDICT_DIRECT : verdict;
}

/* The packet itself asks `out->owner`: the path's host, or an owner of the slot, which passes it on. */
__noinline int send_with_ask(struct __sk_buff *skb, const struct config *config, const struct port *port,
			     struct outgoing *out)
{
	struct outer_ask *outer;
	struct encap encap;
	__u32 zero = 0;

	outer = bpf_map_lookup_elem(&outer_copy, &zero);
	if (!config || !port || !out || !outer)
		return VERDICT_KERNEL;
	encap = encap_of(skb, config, port, out, &out->owner.host);
	fill_ask(&outer->path, config, out);
	return encap_path(skb, &encap, outer, &out->action);
}

static __always_inline enum verdict send_renewing(struct __sk_buff *skb, const struct config *config,
						  const struct port *port, struct outgoing *out,
						  const struct path *known)
{
	enum verdict verdict;

	out->owner.host = known->host;
	out->owner.subnet = out->routed ? 0 : port->subnet;
	out->owner.epoch = 0;
	out->owner.flags = 0;
	mac_copy(out->mac, known->mac);
	verdict = send_with_ask(skb, config, port, out);
	return verdict == CONTINUE ? VERDICT_DIRECT_ASK : verdict;
}

__noinline int send_via(struct __sk_buff *skb, const struct config *config, const struct port *port,
			struct outgoing *out)
{
	int verdict;

	if (!config || !port || !out)
		return VERDICT_KERNEL;
	mac_copy(out->mac, out->frame.destination_mac);
	/* redirect_neigh drops what it finds addressed to a group, also where it writes the address itself. */
	if (out->frame.kind == FRAME_REQUEST && bpf_skb_store_bytes(skb, 0, port->mac, 6, 0))
		return VERDICT_KERNEL;
	verdict = send_with_ask(skb, config, port, out);
	if (verdict != CONTINUE)
		return verdict;
	if (!address_is_zero(&out->owner.suspect) && !skb->gso_size)
		probe(skb, config, &out->owner.suspect, out->now);
	return out->frame.kind == FRAME_REQUEST ? VERDICT_ASK_ARP : VERDICT_ASK_DATA;
}

/* The packet cannot go where it should, and its sender hears of it. */
static __always_inline enum verdict refuse(struct __sk_buff *skb, const struct port *port, struct outgoing *out,
					   const struct error *error)
{
	return tell_error(skb, port, skb->ifindex, out->frame.protocol, out->now, error, &out->action);
}

static __noinline enum verdict unreachable(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	struct error error = ERROR_UNREACHABLE;
	int verdict = refuse(skb, port, out, &error);

	return undo_error(skb, skb->ifindex, out->about.vni, verdict);
}

static __always_inline enum verdict refuse_too_big(struct __sk_buff *skb, const struct port *port,
						   struct outgoing *out)
{
	struct error error = ERROR_TOO_BIG;

	error.mtu = port->mtu;
	return refuse(skb, port, out, &error);
}

/* One hop, the gateway's: what lies between hosts is none. */
static __always_inline enum verdict route_hop(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	struct error error = ERROR_EXPIRED;
	struct view view = view_of_skb(skb);
	struct ip6_header *ip6;
	struct iphdr *ip = at(&view, sizeof(struct ethhdr), sizeof(*ip));
	__u32 sum;

	if (!ip)
		return VERDICT_MALFORMED;
	if (out->frame.hops <= 1)
		return refuse(skb, port, out, &error);
	if (out->frame.protocol == bpf_htons(ETH_P_IPV6)) {
		ip6 = at(&view, sizeof(struct ethhdr), sizeof(*ip6));
		if (!ip6)
			return VERDICT_MALFORMED;
		ip6->hops--;
		return CONTINUE;
	}
	/* RFC 1624: the high byte of the word falls by one. */
	sum = ip->check + bpf_htons(0x0100);
	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
	return CONTINUE;
}

#endif
