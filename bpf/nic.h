/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stages of `nic`: what the underlay brings. What is not ours goes on to the host's stack. */
#ifndef MEGREZ_NIC_H
#define MEGREZ_NIC_H

#include "cookie.h"
#include "deliver.h"
#include "encap.h"
#include "error.h"
#include "flow.h"
#include "incoming.h"
#include "left.h"
#include "lookup.h"
#include "path.h"
#include "view.h"

static __always_inline enum verdict deliver(struct incoming *in, const struct endpoint *endpoint, enum verdict verdict)
{
	enum verdict failed = decap(in->skb, &in->tunnel, &in->frame, endpoint->mac);

	if (failed == CONTINUE)
		failed = undo(in->skb, endpoint->ifindex, in->tunnel.vni, in->now);
	if (failed != CONTINUE)
		return failed;
	in->action = deliver_ip(endpoint, in->skb->len);
	return verdict;
}

/*
 * Turns the asking packet into the notice for its asker. The option goes through the helper that keeps a whole-packet
 * checksum of the NIC true: the same packet is delivered afterwards.
 */
static __always_inline bool notice_in_place(struct incoming *in, const struct question *question,
					    const struct endpoint *endpoint)
{
	struct path_option told;
	struct view view;

	fill_path(&told, OP_TELL);
	told.cookie = question->cookie;
	told.generation = bpf_cpu_to_be64(endpoint->generation);
	told.host = address_to_ip4(&in->config->self);
	mac_copy(told.mac, endpoint->mac);
	if (bpf_skb_store_bytes(in->skb, in->tunnel.path, &told, sizeof(told), BPF_F_RECOMPUTE_CSUM))
		return false;
	view = view_of_skb(in->skb);
	swap_macs(&view);
	return readdress(&view, in->config, &question->asker);
}

/* The packet, decapsulated and with a clone of it delivered, goes back as the notice. */
static __noinline enum verdict send_notice(struct incoming *in, const struct question *question,
					   const struct endpoint *endpoint)
{
	struct encap encap = {
		.config = in->config,
		.host = &question->asker,
		.vni = question->about.vni,
		.source_port = source_port(question->about.ip.word[3]),
		.protocol = in->frame.protocol,
	};
	struct outer_ask *outer;
	enum verdict verdict;
	__u32 zero = 0;

	outer = bpf_map_lookup_elem(&outer_copy, &zero);
	if (!outer)
		return VERDICT_KERNEL;
	mac_copy(encap.destination_mac, endpoint->mac);
	mac_copy(encap.source_mac, in->frame.source_mac);
	fill_path(&outer->path, OP_TELL);
	outer->path.hops = 1; /* not asked directly: an owner did its part */
	outer->path.cookie = question->cookie;
	outer->path.generation = bpf_cpu_to_be64(endpoint->generation);
	outer->path.host = address_to_ip4(&in->config->self);
	mac_copy(outer->path.mac, endpoint->mac);
	verdict = encap_path(in->skb, &encap, outer, &in->action);
	return verdict == CONTINUE ? VERDICT_DELIVERED_TOLD : verdict;
}

/*
 * A bouncer passed the packet on, so the way to the asker is not the way it came: deliver a clone, and send the packet
 * itself, as the notice, wherever the routes say.
 */
static __always_inline enum verdict deliver_passed_on(struct incoming *in, const struct question *question,
						      const struct endpoint *endpoint)
{
	enum verdict verdict;

	verdict = decap(in->skb, &in->tunnel, &in->frame, endpoint->mac);
	if (verdict == CONTINUE)
		verdict = undo(in->skb, endpoint->ifindex, in->tunnel.vni, in->now);
	if (verdict != CONTINUE)
		return verdict;
	count_received(endpoint->ifindex, in->skb->len);
	if (bpf_clone_redirect(in->skb, endpoint->ifindex, 0))
		return VERDICT_KERNEL;
	return send_notice(in, question, endpoint);
}

static __always_inline void tell_service(struct path_option *option, const struct endpoint_key *about)
{
	struct service_address *service = bpf_map_lookup_elem(&services, about);

	if (!service)
		return;
	option->generation = bpf_cpu_to_be64(service->generation);
	mac_copy(option->mac, service->mac);
}

/*
 * The asking packet of a service's flow becomes the answer which backend it has; a ping, or what else is no flow, the
 * answer that the address is a service.
 */
static __noinline enum verdict pin_in_place(struct incoming *in, const struct question *question)
{
	struct flow_key key = { .vni = in->tunnel.vni };
	struct path_option *option;
	struct backend backend;
	struct view view;
	struct pin *pin;
	int verdict = flow_of(in->skb, in->tunnel.inner + sizeof(struct ethhdr), &key);

	if (verdict == VERDICT_SERVICE_FRAGMENT || verdict == VERDICT_MALFORMED)
		return verdict;
	view = view_of_skb(in->skb);
	option = at(&view, in->tunnel.path, sizeof(*option));
	if (!option)
		return VERDICT_MALFORMED;
	option->hops = 0;
	option->flags = bpf_htons(OPTION_SERVICE);
	if (verdict == VERDICT_SERVICE_PROTOCOL) {
		option->op = OP_TELL;
		option->host = address_to_ip4(&in->config->self);
		tell_service(option, &in->about);
	} else {
		option->op = OP_PIN;
		pin = (struct pin *)&option->generation;
		__builtin_memset(pin, 0, sizeof(*pin));
		if (service_choose(&key, &backend) == CONTINUE) {
			pin->backend = backend.ip;
			pin->port = backend.port;
		} else {
			pin->refusal = bpf_htons(backend.generation);
		}
	}
	if (!readdress(&view, in->config, &question->asker))
		return VERDICT_MALFORMED;
	in->action = redirect_to(in->config, &question->asker);
	return VERDICT_PINNED;
}

/* The bouncer's work on this hook: all of it, also what XDP leaves to it. */
static __noinline enum verdict bounce(struct incoming *in, struct question *question)
{
	struct view view = view_of_skb(in->skb);
	struct mapping answer = {};
	enum verdict verdict = lookup(in->config, question, &in->frame, in->now, &answer);

	switch (verdict) {
	case VERDICT_FORWARDED:
		verdict = forward_in_place(&view, in->config, &in->tunnel, question, &answer.host);
		break;
	case VERDICT_ANSWERED:
	case VERDICT_ANSWERED_NONE:
		verdict = answer_in_place(&view, in->config, &in->tunnel, question, in->frame.protocol, verdict, &answer);
		break;
	default:
		return verdict;
	}
	if (verdict < VERDICT_DROP)
		in->action = redirect_to(in->config, verdict == VERDICT_FORWARDED ? &answer.host : &question->asker);
	return verdict;
}

/* An endpoint that moved: its new host delivers, and tells the asker. */
static __noinline enum verdict pass_on_asking(struct incoming *in, struct question *question,
					      const struct tombstone *left)
{
	struct view view = view_of_skb(in->skb);
	struct address host = left->host;
	enum verdict verdict;

	if (question->hops >= HOPS_MAX)
		return VERDICT_HOPS;
	verdict = forward_in_place(&view, in->config, &in->tunnel, question, &host);
	if (verdict != VERDICT_FORWARDED)
		return verdict;
	in->action = redirect_to(in->config, &host);
	return VERDICT_FORWARDED_MOVED;
}

static __always_inline enum verdict asked_elsewhere(struct incoming *in, struct question *question)
{
	struct tombstone *left = bpf_map_lookup_elem(&mappings, &in->about) ? NULL : find_tombstone(&in->about, in->now);

	if (!left) {
		enum verdict verdict = bounce(in, question);

		if (verdict == VERDICT_PINNED)
			return pin_in_place(in, question);

		/* Whoever asked the host that its path leads to hears that there is nothing any more. */
		return verdict == VERDICT_NOT_HOLDER && !question->hops ? answer_gone(in) : verdict;
	}
	if (address_is_zero(&left->host))
		return answer_gone(in);
	return pass_on_asking(in, question, left);
}

static __noinline enum verdict asked(struct incoming *in, const struct path_option *option)
{
	struct endpoint *endpoint;
	struct question question;
	enum verdict verdict = parse_question(option, &in->tunnel, &in->frame, &question);

	if (verdict != CONTINUE)
		return verdict;
	if (in->frame.kind != FRAME_PACKET) {
		if (in->frame.kind != FRAME_REQUEST)
			return VERDICT_ARP_REPLY;
		return bounce(in, &question);
	}
	endpoint = bpf_map_lookup_elem(&endpoints, &in->about);
	if (!endpoint)
		return asked_elsewhere(in, &question);
	if (!endpoint->ifindex)
		return VERDICT_NOT_HERE;
	verdict = VERDICT_DELIVERED;
	if (notice_due(&question.asker, &question.about, in->now)) {
		if (question.hops)
			return deliver_passed_on(in, &question, endpoint);
		/*
		 * The asker is the neighbour the packet came from: it gets a clone of the packet, made into the notice, and the
		 * packet itself, which loses the outer headers anyway, is delivered.
		 */
		if (notice_in_place(in, &question, endpoint) && !bpf_clone_redirect(in->skb, in->skb->ifindex, 0))
			verdict = VERDICT_DELIVERED_TOLD;
	}
	return deliver(in, endpoint, verdict);
}

/* The interface of the endpoint that sent the packet which came back; 0: it is gone. */
static __always_inline __u32 sender_of(const struct incoming *in, __u8 *mac)
{
	struct endpoint_key key = { .vni = in->tunnel.vni, .ip = in->frame.source };
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);

	if (!endpoint || in->frame.kind != FRAME_PACKET)
		return 0;
	mac_copy(mac, endpoint->mac);
	return endpoint->ifindex;
}

/* The packet came back with an answer that its sender hears as an ICMP error. */
static __noinline enum verdict tell_sender(struct incoming *in, __u32 ifindex, const struct error *error)
{
	struct port_key key = { .ifindex = ifindex };
	struct port *port = bpf_map_lookup_elem(&ports, &key);
	enum verdict verdict;

	if (!port)
		return error->refused;
	verdict = decap(in->skb, &in->tunnel, &in->frame, port->mac);
	if (verdict == CONTINUE)
		verdict = tell_error(in->skb, port, ifindex, in->frame.protocol, in->now, error, &in->action);
	in->sender = ifindex;
	return verdict;
}

/* There is no such address: the endpoint that sent the packet is told so. */
static __noinline enum verdict tell_unreachable(struct incoming *in)
{
	struct error error = ERROR_UNREACHABLE;
	__u32 ifindex = sender_of(in, in->frame.source_mac);

	error.refused = VERDICT_TOLD_NONE;
	return ifindex ? tell_sender(in, ifindex, &error) : VERDICT_TOLD_NONE;
}

/* The packet as its endpoint sent it: it comes from there once more. */
static __noinline enum verdict again(struct incoming *in)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	__u32 ifindex = sender_of(in, in->frame.source_mac);
	enum verdict verdict;

	if (!ifindex)
		return VERDICT_TOLD;
	verdict = decap(in->skb, &in->tunnel, &in->frame, gateway_mac);
	return verdict == CONTINUE ? set_out_again(in->skb, ifindex, &in->action) : verdict;
}

static __noinline enum verdict tell_no_backend(struct incoming *in, __u32 ifindex, bool told)
{
	struct error error = ERROR_NO_BACKEND;

	return told ? tell_sender(in, ifindex, &error) : VERDICT_NO_BACKEND;
}

/* A flow that lives keeps its backend: its packet asked because the path to the service was forgotten. */
static __noinline int take_backend(struct incoming *in, __u32 ifindex, const struct backend *backend)
{
	__u32 offset = in->tunnel.inner + sizeof(struct ethhdr);
	struct flow_key key = { .vni = in->tunnel.vni };
	int verdict = flow_of(in->skb, offset, &key);
	struct flow *flow;

	if (verdict != CONTINUE)
		return verdict;
	flow = flow_find(&key);
	if (flow && flow_lives(flow, key.protocol, in->now) && !opens_anew(flow, tcp_flags(in->skb, offset), in->now))
		return CONTINUE;
	quota_pinned(ifindex, in->now);
	return flow_pin(&key, backend, ifindex, in->now);
}

/* A bouncer gave the flow of one of this host's packets its backend, or says that there is none. */
static __noinline enum verdict pinned(struct incoming *in, const struct path_option *option)
{
	const struct pin *pin = (const struct pin *)&option->generation;
	struct backend backend = {};
	__u32 ifindex;
	bool told;
	int verdict;

	backend.ip = pin->backend;
	backend.port = pin->port;
	told = pin->refusal == bpf_htons(REFUSAL_TELL);
	if (!cookie_holds(in->config, &in->about, in->now, bpf_be64_to_cpu(option->cookie)))
		return VERDICT_FORGED_COOKIE;
	ifindex = sender_of(in, in->frame.source_mac);
	if (!ifindex)
		return VERDICT_NOT_HERE;
	path_service(&in->about, in->now);
	if (address_is_zero(&backend.ip))
		return tell_no_backend(in, ifindex, told);
	verdict = take_backend(in, ifindex, &backend);
	return verdict == CONTINUE ? again(in) : verdict;
}

/* The reply that made the path is also the endpoint's answer. */
static __always_inline enum verdict deliver_arp(struct incoming *in)
{
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &in->about);
	enum verdict verdict;

	if (!endpoint || !endpoint->ifindex)
		return VERDICT_TOLD;
	verdict = decap(in->skb, &in->tunnel, &in->frame, endpoint->mac);
	if (verdict != CONTINUE)
		return verdict;
	in->action = deliver_frame(endpoint, in->skb->len);
	return VERDICT_TOLD_ARP;
}

static __noinline enum verdict told(struct incoming *in, const struct path_option *option)
{
	bool reply = in->frame.kind == FRAME_REPLY;
	struct endpoint_key asked_for = { .vni = in->tunnel.vni };
	struct mapping answer = {
		.host = address_from_ip4(option->host),
		.generation = bpf_be64_to_cpu(option->generation),
	};
	enum verdict verdict;
	__u32 how = reply ? TOLD_CHECKED | TOLD_BY_OWNER : 0;
	__u32 option_flags = bpf_ntohs(option->flags);
	bool passed_on = option->hops;
	__u8 op = option->op;

	mac_copy(answer.mac, option->mac);
	asked_for.ip = reply ? in->frame.source : in->frame.destination;
	if (!cookie_holds(in->config, &asked_for, in->now, bpf_be64_to_cpu(option->cookie)))
		return VERDICT_FORGED_COOKIE;
	if (op == OP_NONE) {
		verdict = path_none(&asked_for, in->now);
		return verdict == CONTINUE ? tell_unreachable(in) : verdict;
	}
	if (!underlay_accepts(&answer.host))
		return VERDICT_FORGED_HOST;
	if (option_flags & OPTION_SERVICE)
		how |= TOLD_SERVICE | TOLD_BY_OWNER;
	if (passed_on)
		how |= TOLD_BY_OWNER;
	verdict = path_told(in->config, &asked_for, &answer, how, in->now);
	if (verdict != CONTINUE)
		return verdict;
	if (reply)
		return deliver_arp(in);
	return how & TOLD_SERVICE ? again(in) : VERDICT_TOLD;
}

/* Data for an endpoint of this host, or for one that should not be looked for here. */
static __always_inline enum verdict delivered(struct incoming *in)
{
	struct network_key key = { .vni = in->tunnel.vni };
	struct endpoint *endpoint;

	if (in->frame.kind != FRAME_PACKET)
		return VERDICT_ETHERTYPE;
	endpoint = bpf_map_lookup_elem(&endpoints, &in->about);
	if (endpoint)
		return endpoint->ifindex ? deliver(in, endpoint, VERDICT_DELIVERED) : VERDICT_NOT_HERE;
	return bpf_map_lookup_elem(&networks, &key) ? not_here(in) : VERDICT_PASS;
}

/* A sign of life is asked for, or given. */
static __noinline enum verdict echo(struct incoming *in, const struct path_option *option)
{
	struct view view = view_of_skb(in->skb);
	struct path_option *answer = at(&view, in->tunnel.path, sizeof(*answer));
	struct attachment *attachment;
	__u32 zero = 0;

	if (option->flags & bpf_htons(ECHO_ANSWER)) {
		bool holds = cookie_holds(in->config, &in->about, in->now, bpf_be64_to_cpu(option->cookie));

		return holds ? VERDICT_TOLD_ECHO : VERDICT_FORGED_COOKIE;
	}
	attachment = bpf_map_lookup_elem(&attached, &zero);
	/* Not before the first full load: whoever asks would take this host for one that knows. */
	if (!answer || !attachment || !attachment->until)
		return VERDICT_NOT_HOLDER;
	answer->flags = bpf_htons(ECHO_ANSWER);
	swap_macs(&view);
	if (!readdress(&view, in->config, &in->tunnel.source))
		return VERDICT_MALFORMED;
	in->action = bpf_redirect(in->skb->ifindex, 0);
	return VERDICT_ANSWERED_ECHO;
}

/* The endpoint left the host that says so, says that host; a path that leads there and nothing else is forgotten. */
static __always_inline enum verdict gone(struct incoming *in)
{
	struct endpoint_key sender = { .vni = in->tunnel.vni, .ip = in->frame.source };

	if (!bpf_map_lookup_elem(&endpoints, &sender))
		return VERDICT_NOT_HERE;
	return path_gone(&in->about, &in->tunnel.source);
}

static __always_inline enum verdict nic_packet(struct incoming *in)
{
	const struct path_option *option;
	enum verdict verdict;
	struct view view;
	__u32 zero = 0;
	__u32 options;

	in->config = bpf_map_lookup_elem(&config, &zero);
	if (!in->config)
		return VERDICT_PASS;
	/* A tagged frame is of another underlay. */
	if (in->skb->protocol != bpf_htons(ETH_P_IP) || in->skb->vlan_present)
		return VERDICT_PASS;
	view = view_of_headers(in->skb, sizeof(struct outer_headers));
	verdict = parse_tunnel(&view, in->skb->len, in->config, &in->tunnel, &options);
	if (verdict != CONTINUE)
		return verdict;
	view = view_of_headers(in->skb, sizeof(struct outer_headers) + options);
	if (options)
		verdict = parse_options(&view, options, &in->tunnel);
	if (verdict != CONTINUE)
		return verdict;
	if (!hear(&in->tunnel.source, in->now))
		return VERDICT_FORGED_SOURCE;
	verdict = parse_frame_of_skb(in->skb, in->tunnel.inner, &in->frame);
	if (verdict != CONTINUE)
		return verdict;
	in->about.vni = in->tunnel.vni;
	in->about.ip = in->frame.destination;
	if (!in->tunnel.path)
		return delivered(in);
	view = view_of_skb(in->skb);
	option = at(&view, in->tunnel.path, sizeof(*option));
	if (!option)
		return VERDICT_MALFORMED;
	switch (option->op) {
	case OP_ASK:
		return asked(in, option);
	case OP_TELL:
	case OP_NONE:
		/* An error about a packet that was translated when it left is one about what its endpoint sent. */
		verdict = told(in, option);
		return undo_error(in->skb, in->sender, in->tunnel.vni, verdict);
	case OP_PIN:
		return pinned(in, option);
	case OP_GONE:
		return gone(in);
	case OP_ECHO:
		return echo(in, option);
	default:
		return VERDICT_UNKNOWN_OP;
	}
}

#endif
