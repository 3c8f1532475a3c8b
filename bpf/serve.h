/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an endpoint sends to a service: translated, when its flow has a backend; else that is asked for. tc only. */
#ifndef MEGREZ_SERVE_H
#define MEGREZ_SERVE_H

#include "arp.h"
#include "flow.h"
#include "send.h"
#include "service.h"

static __always_inline enum verdict ping_service(struct __sk_buff *skb, struct outgoing *out)
{
	struct view view = view_of_headers(skb, FRAME6_HEADERS);

	if (!echo_reply(&view, out->frame.protocol))
		return VERDICT_SERVICE_PROTOCOL;
	out->action = bpf_redirect(skb->ifindex, 0);
	return VERDICT_PING_SERVICE;
}

static __noinline enum verdict refuse_no_backend(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	struct error error = ERROR_NO_BACKEND;

	return refuse(skb, port, out, &error);
}

/* This host is a bouncer of the service: it gives the flow its backend itself. CONTINUE: the packet sets out again. */
__noinline int serve_here(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	struct flow_key key = {};
	struct backend backend;
	int verdict;

	if (!port || !out)
		return VERDICT_KERNEL;
	key.vni = out->about.vni;
	verdict = flow_of(skb, sizeof(struct ethhdr), &key);
	if (verdict == VERDICT_SERVICE_PROTOCOL)
		return ping_service(skb, out);
	if (verdict != CONTINUE)
		return verdict;
	verdict = service_choose(&key, &backend);
	if (verdict == VERDICT_NO_BACKEND && backend.generation == REFUSAL_TELL)
		return refuse_no_backend(skb, port, out);
	return verdict == CONTINUE ? flow_pin(&key, &backend, skb->ifindex, out->now) : verdict;
}

/* Of an ICMP error in a bare frame, without IP options. */
#define QUOTED_DESTINATION (sizeof(struct ethhdr) + ERROR_ROOM + 16)

/*
 * What has no flow: a ping; or a client's error about an answer, which goes to the backend, be it the client itself.
 */
static __noinline enum verdict serve_other(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	int verdict = ping_service(skb, out);
	__be32 ip;

	if (verdict != VERDICT_SERVICE_PROTOCOL)
		return verdict;
	/* About a packet to this endpoint, and nobody else's. */
	if (bpf_skb_load_bytes(skb, QUOTED_DESTINATION, &ip, sizeof(ip)) || ip != address_to_ip4(&port->ip4.ip))
		return VERDICT_SERVICE_PROTOCOL;
	verdict = translate_error(skb, out->about.vni);
	if (verdict != TRANSLATED)
		return verdict == CONTINUE ? VERDICT_SERVICE_PROTOCOL : verdict;
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + 16, &ip, sizeof(ip)))
		return VERDICT_MALFORMED;
	out->about.ip = address_from_ip4(ip);
	out->routed = !address_in(&out->about.ip, &port->ip4.network, &port->ip4.mask);
	return CONTINUE;
}

/*
 * A packet for a service. CONTINUE: its flow has a backend, which it is addressed to now. KNOWN: a backend is to be
 * asked for. Else it ended here.
 */
__noinline int serve(struct __sk_buff *skb, const struct port *port, struct outgoing *out)
{
	struct flow_key key = {};
	struct flow *flow;
	__u8 flags;
	int verdict;

	if (!port || !out)
		return VERDICT_KERNEL;
	key.vni = out->about.vni;
	verdict = flow_of(skb, sizeof(struct ethhdr), &key);
	if (verdict == VERDICT_SERVICE_PROTOCOL)
		return serve_other(skb, port, out);
	if (verdict != CONTINUE)
		return verdict;
	flags = tcp_flags(skb, sizeof(struct ethhdr));
	flow = flow_find(&key);
	if (!flow || !flow_lives(flow, key.protocol, out->now) || opens_anew(flow, flags, out->now)) {
		out->service = true;
		out->spread = flow_spread(&key);
		return KNOWN;
	}
	if ((flow->seen_at ^ out->now) >> 33)
		flow_seen(&key, out->now);
	flow->seen_at = out->now;
	out->about.ip = flow->destination;
	out->routed = !address_in(&out->about.ip, &port->ip4.network, &port->ip4.mask);
	verdict = translate(skb, flow);
	if (flags & (TCP_FIN | TCP_RST))
		flow_close(&key);
	/* A backend that is its own client: both ends of the flow are seen here, and nowhere else. */
	else if (flow->state == FLOW_NEW && (flags & TCP_ACK) && address_equal(&out->about.ip, &port->ip4.ip))
		flow_establish(&key);
	return verdict;
}

#endif
