/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stages of `endpoint`: what a tenant sends. Nothing it sends ever reaches the host's stack. */
#ifndef MEGREZ_ENDPOINT_H
#define MEGREZ_ENDPOINT_H

#include "arp.h"
#include "deliver.h"
#include "send.h"
#include "serve.h"
#include "view.h"

static __always_inline enum verdict check_source(const struct port *port, const struct outgoing *out)
{
	const struct reach *reach = reach_of(port, out->frame.protocol);

	if (!mac_equal(out->frame.source_mac, port->mac))
		return VERDICT_SPOOFED_MAC;
	/* Nothing of a family that the endpoint does not have. */
	if (address_is_zero(&reach->ip))
		return VERDICT_ETHERTYPE;
	if (out->frame.kind != FRAME_PACKET)
		return CONTINUE;
	/* What an interface says to its neighbours before it has an address concerns nobody. */
	if (out->frame.protocol == bpf_htons(ETH_P_IPV6) && address_is_multicast6(&out->frame.destination))
		return VERDICT_MULTICAST;
	return address_equal(&out->frame.source, &reach->ip) ? CONTINUE : VERDICT_SPOOFED_IP;
}

static __always_inline enum verdict check_arp(struct __sk_buff *skb, const struct port *port,
					      const struct outgoing *out, const struct view *view)
{
	const struct arp_packet *arp = at(view, sizeof(struct ethhdr), sizeof(*arp));

	/* A frame's least size, and no more: what is behind it is not ARP. */
	if (!arp || skb->len > 60)
		return VERDICT_MALFORMED;
	/* A probe (RFC 5227) has no sender address yet. */
	if (!mac_equal(arp->sender_mac, port->mac) ||
	    !(arp->sender == 0 || address_equal(&out->frame.source, &port->ip4.ip)))
		return VERDICT_SPOOFED_ARP;
	return CONTINUE;
}

static __always_inline enum verdict check_neighbour(const struct port *port, const struct outgoing *out,
						    const struct view *view)
{
	struct neighbour_option *option = at(view, sizeof(struct ethhdr) + NEIGHBOUR_SIZE, sizeof(*option));

	if (out->frame.kind == FRAME_REPLY)
		return VERDICT_ARP_REPLY;
	/* Duplicate address detection has no sender yet. */
	if (address_is_zero(&out->frame.source))
		return VERDICT_ARP_SELF;
	if (option && !mac_equal(option->mac, port->mac))
		return VERDICT_SPOOFED_ARP;
	if (!address_equal(&out->frame.source, &port->ip6.ip) && !address_is_link_local6(&out->frame.source))
		return VERDICT_SPOOFED_ARP;
	return CONTINUE;
}

/* A request for a neighbour, or a reply nobody wants, of either family. */
static __always_inline enum verdict check_request(struct __sk_buff *skb, const struct port *port,
						  const struct outgoing *out, const struct view *view)
{
	const struct reach *reach = reach_of(port, out->frame.protocol);
	enum verdict verdict;

	if (out->frame.protocol == bpf_htons(ETH_P_ARP)) {
		verdict = check_arp(skb, port, out, view);
		reach = &port->ip4;
	} else {
		verdict = check_neighbour(port, out, view);
	}
	if (verdict != CONTINUE)
		return verdict;
	if (address_equal(&out->frame.destination, &reach->ip))
		return VERDICT_ARP_SELF;
	if (out->frame.kind != FRAME_REQUEST)
		return VERDICT_ARP_REPLY;
	if (!address_in(&out->frame.destination, &reach->network, &reach->mask))
		return VERDICT_NO_ROUTE;
	return CONTINUE;
}

/* The request's answer, back to the endpoint. */
__noinline int answer_request(struct __sk_buff *skb, struct outgoing *out, const struct link_address *mac, __u32 verdict)
{
	struct view view = view_of_headers(skb, FRAME6_HEADERS);

	if (!out || !mac)
		return VERDICT_KERNEL;
	if (!reply_to_request(&view, 0, out->frame.protocol, mac->bytes, verdict == VERDICT_ARP_GATEWAY))
		return VERDICT_MALFORMED;
	out->action = bpf_redirect(skb->ifindex, 0);
	return verdict;
}

static __always_inline enum verdict answer_with(struct __sk_buff *skb, struct outgoing *out, const __u8 *mac,
						enum verdict verdict)
{
	struct link_address to;

	mac_copy(to.bytes, mac);
	return answer_request(skb, out, &to, verdict);
}

__noinline int ask_arp(struct __sk_buff *skb, const struct config *config, const struct port *port,
		       struct outgoing *out)
{
	struct view view = view_of_skb(skb);
	struct arp_packet *arp = at(&view, sizeof(struct ethhdr), sizeof(*arp));
	struct outer_arp outer;
	enum verdict verdict;

	if (!config || !port || !out)
		return VERDICT_KERNEL;
	if (!arp)
		return VERDICT_MALFORMED;
	/* The answer to a probe would have no address to go to. */
	if (arp->sender == 0)
		arp->sender = address_to_ip4(&port->ip4.ip);
	fill_ask(&outer.path, config, out);
	verdict = encap_arp(skb, config, out->about.vni, &out->owner.host, &outer, &out->action);
	if (verdict != CONTINUE)
		return verdict;
	if (!address_is_zero(&out->owner.suspect))
		probe(skb, config, &out->owner.suspect, out->now);
	return VERDICT_ASK_ARP;
}

/* What this host remembers of the address: true when a request for it needs no bouncer. */
static __always_inline bool may_answer(const struct config *config, const struct path *known, __u64 now)
{
	if (elapsed(known->told_at, now) >= config->hard_lease_ns)
		return false;
	/* An endpoint that was here would have answered itself. */
	if (known->state == PATH_TOLD && address_equal(&known->host, &config->self))
		return false;
	/* A service that was learned of by data has no link-layer address yet. */
	return known->state == PATH_TOLD || (known->state == PATH_SERVICE && known->mac[0]);
}

static __noinline enum verdict endpoint_arp(struct __sk_buff *skb, const struct config *config,
					    const struct port *port, struct outgoing *out)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	struct view view = view_of_skb(skb);
	struct path *known = known_path();
	struct service_address *service;
	struct endpoint *endpoint;
	int verdict = check_request(skb, port, out, &view);

	if (!known)
		return VERDICT_KERNEL;
	if (verdict != CONTINUE)
		return verdict;
	if (address_equal(&out->frame.destination, &reach_of(port, out->frame.protocol)->gateway))
		return answer_with(skb, out, gateway_mac, VERDICT_ARP_GATEWAY);
	endpoint = bpf_map_lookup_elem(&endpoints, &out->about);
	if (endpoint)
		return answer_with(skb, out, endpoint->mac, VERDICT_ARP_LOCAL);
	if (path_read(&out->about, known)) {
		if (may_answer(config, known, out->now))
			return answer_with(skb, out, known->mac, VERDICT_ARP_PATH);
		if (known->state == PATH_NONE && elapsed(known->told_at, out->now) < config->negative_ns)
			return VERDICT_UNKNOWN_ADDRESS;
	}
	verdict = find_owner(skb, config, port, out);
	if (verdict == KNOWN)
		return answer_with(skb, out, known->mac, VERDICT_ARP_OWNED);
	if (verdict == SERVED) {
		service = bpf_map_lookup_elem(&services, &out->about);
		return service ? answer_with(skb, out, service->mac, VERDICT_ARP_OWNED) : VERDICT_UNKNOWN_ADDRESS;
	}
	if (verdict != CONTINUE)
		return verdict;
	if (out->frame.protocol == bpf_htons(ETH_P_ARP))
		return ask_arp(skb, config, port, out);
	return send_via(skb, config, port, out);
}

static __always_inline enum verdict check_destination(const struct port *port, struct outgoing *out)
{
	const struct reach *reach = reach_of(port, out->frame.protocol);
	__be32 ip = address_to_ip4(&out->frame.destination);

	if (address_equal(&out->frame.destination, &reach->ip))
		return VERDICT_TO_SELF;
	out->routed = !address_in(&out->frame.destination, &reach->network, &reach->mask);
	if (out->frame.protocol == bpf_htons(ETH_P_IPV6))
		return address_is_link_local6(&out->frame.destination) ? VERDICT_NO_ROUTE : CONTINUE;
	if ((ip & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000))
		return VERDICT_MULTICAST;
	if (ip == bpf_htonl(0xffffffff))
		return VERDICT_BROADCAST;
	return !out->routed && (ip | reach->mask.word[3]) == bpf_htonl(0xffffffff) ? VERDICT_BROADCAST : CONTINUE;
}

static __always_inline bool too_big(struct __sk_buff *skb, const struct port *port, const struct outgoing *out)
{
	__u32 size = skb->gso_size;

	if (size) {
		size += out->frame.protocol == bpf_htons(ETH_P_IPV6) ? sizeof(struct ip6_header) : sizeof(struct iphdr);
		return size + (out->frame.transport == IPPROTO_TCP ? 20 : 8) > port->mtu;
	}
	return skb->len - sizeof(struct ethhdr) > port->mtu;
}

static __always_inline enum verdict deliver_local(struct __sk_buff *skb, const struct port *port,
						  struct outgoing *out, const struct endpoint *endpoint)
{
	int verdict;

	if (!endpoint->ifindex)
		return VERDICT_NOT_HERE;
	verdict = undo(skb, endpoint->ifindex, out->about.vni, out->now);
	if (verdict != CONTINUE)
		return verdict;
	if (out->routed || !mac_equal(out->frame.destination_mac, endpoint->mac)) {
		struct view view = view_of_skb(skb);
		struct ethhdr *eth = at(&view, 0, sizeof(*eth));

		if (!eth)
			return VERDICT_MALFORMED;
		mac_copy(eth->h_dest, endpoint->mac);
		source_mac(port, out, eth->h_source);
	}
	out->action = deliver_ip(endpoint, skb->len);
	return VERDICT_LOCAL;
}

/* Through an owner of the slot, or directly, if this host turns out to hold the answer itself. */
__noinline int send_asking(struct __sk_buff *skb, const struct config *config, const struct port *port,
			   struct outgoing *out)
{
	int verdict;

	if (!config || !port || !out)
		return VERDICT_KERNEL;
	verdict = find_owner(skb, config, port, out);
	switch (verdict) {
	case CONTINUE:
		return send_via(skb, config, port, out);
	case KNOWN:
		return send_direct(skb, config, port, out);
	case SERVED:
		/* Pinned here or asked for elsewhere: a flow costs its endpoint the same. */
		if (!budget_allows(config, skb->ifindex, out->now))
			return VERDICT_ASK_BUDGET;
		verdict = serve_here(skb, port, out);
		if (verdict != CONTINUE)
			return verdict;
		quota_pinned(skb->ifindex, out->now);
		path_service(&out->about, out->now);
		return set_out_again(skb, skb->ifindex, &out->action);
	case VERDICT_UNKNOWN_ADDRESS:
		return unreachable(skb, port, out);
	default:
		return verdict;
	}
}

/* Of the path's host; packets that the wire will cut up ask nothing, a smaller one will come along. */
static __always_inline enum life path_life(struct __sk_buff *skb, const struct path *known, struct path *path,
					   __u64 now)
{
	enum life life;

	if (elapsed(known->live_at, now) < PROBE_NS || skb->gso_size)
		return LIFE_ALIVE;
	life = host_life(&known->host, now);
	if (life == LIFE_ALIVE)
		path->live_at = now;
	return life;
}

/* Also a path that is renewed for ever is checked with a bouncer now and then; streams wait for a smaller packet. */
static __always_inline bool check_due(struct __sk_buff *skb, const struct config *config, const struct path *known,
				      enum life life, __u64 now)
{
	__u64 due = life == LIFE_SILENT ? PROBE_NS : config->check_ns;

	if (skb->gso_size)
		due += due / 2;
	return elapsed(known->checked_at, now) >= due;
}

/*
 * Whether this packet carries ASK to the path's own host. Packets that the wire will cut up carry it only when nothing
 * smaller came along for half of the time that is left.
 */
static __always_inline bool renewal_due(struct __sk_buff *skb, const struct config *config, const struct path *known,
					__u64 now)
{
	__u64 due = config->soft_lease_ns;

	if (skb->gso_size)
		due = (due + config->hard_lease_ns) / 2;
	return elapsed(known->told_at, now) >= due && elapsed(known->asked_at, now) >= config->retry_ns;
}

/* The packet takes a path that may be believed. `path` is the row itself, for its times. */
static __always_inline enum verdict send_known(struct __sk_buff *skb, const struct config *config,
					       const struct port *port, struct outgoing *out,
					       const struct path *known, struct path *path)
{
	enum life life = path_life(skb, known, path, out->now);

	if (check_due(skb, config, known, life, out->now)) {
		int verdict = find_owner(skb, config, port, out);

		if (verdict == CONTINUE)
			return send_via(skb, config, port, out);
		if (verdict == VERDICT_UNKNOWN_ADDRESS)
			return unreachable(skb, port, out);
		/* The row was replaced by what this host knows itself. */
		if (verdict == KNOWN)
			return send_direct(skb, config, port, out);
		/* A check that cannot be made takes nothing away, and is tried again before long. */
		path->checked_at = out->now;
		if (life != LIFE_SILENT)
			path->checked_at -= config->check_ns - config->retry_ns;
	}
	if (life != LIFE_ASK && !renewal_due(skb, config, known, out->now))
		return send_direct(skb, config, port, out);
	path->asked_at = out->now;
	return send_renewing(skb, config, port, out, known);
}

static __noinline enum verdict endpoint_ip(struct __sk_buff *skb, const struct config *config,
					   const struct port *port, struct outgoing *out)
{
	struct path *known = known_path();
	struct endpoint *endpoint;
	struct path *path;
	int verdict;
	__u64 age;

	if (!known)
		return VERDICT_KERNEL;
	if (address_equal(&out->frame.destination, &reach_of(port, out->frame.protocol)->gateway)) {
		struct view view = view_of_headers(skb, FRAME6_HEADERS);

		if (!echo_reply(&view, out->frame.protocol))
			return VERDICT_TO_GATEWAY;
		out->action = bpf_redirect(skb->ifindex, 0);
		return VERDICT_PING_GATEWAY;
	}
	verdict = check_destination(port, out);
	if (verdict != CONTINUE)
		return verdict;
	if (too_big(skb, port, out))
		return refuse_too_big(skb, port, out);
	if (out->routed && !out->again) {
		verdict = route_hop(skb, port, out);
		if (verdict != CONTINUE)
			return verdict;
	}
	path = path_read(&out->about, known);
	if (path && known->state == PATH_SERVICE) {
		verdict = serve(skb, port, out);
		if (verdict == KNOWN)
			return send_asking(skb, config, port, out);
		if (verdict != CONTINUE)
			return verdict;
		path = path_read(&out->about, known);
	}
	endpoint = bpf_map_lookup_elem(&endpoints, &out->about);
	if (endpoint)
		return deliver_local(skb, port, out, endpoint);
	if (!path)
		return send_asking(skb, config, port, out);
	age = elapsed(known->told_at, out->now);
	if (known->state == PATH_NONE && age < config->negative_ns)
		return unreachable(skb, port, out);
	/* Nor one that leads here, where the endpoint is not. */
	if (known->state != PATH_TOLD || age >= config->hard_lease_ns || address_equal(&known->host, &config->self))
		return send_asking(skb, config, port, out);
	return send_known(skb, config, port, out, known, path);
}

static __always_inline enum verdict endpoint_packet(struct __sk_buff *skb, struct outgoing *out)
{
	struct port_key key = { .ifindex = skb->ifindex };
	const struct config *self;
	const struct port *port;
	enum verdict verdict;
	__u32 zero = 0;

	port = bpf_map_lookup_elem(&ports, &key);
	self = bpf_map_lookup_elem(&config, &zero);
	if (!port || !self)
		return VERDICT_NO_PORT;
	out->about.vni = port->vni;
	if (skb->vlan_present)
		return VERDICT_VLAN;
	verdict = parse_frame_of_skb(skb, 0, &out->frame);
	if (verdict == CONTINUE)
		verdict = check_source(port, out);
	if (verdict != CONTINUE)
		return verdict;
	out->about.ip = out->frame.destination;
	if (out->frame.kind != FRAME_PACKET)
		return endpoint_arp(skb, self, port, out);
	return endpoint_ip(skb, self, port, out);
}

#endif
