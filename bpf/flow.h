/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows to services, at the client's host: which backend a flow has, and its translation there and back. Only this host
 * knows of it; neither the backend nor its host sees anything but a packet from the client. tc only.
 */
#ifndef MEGREZ_FLOW_H
#define MEGREZ_FLOW_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "encap.h"
#include "error.h"
#include "packet.h"

/* A flow that is seen no more is forgotten; a packet of it then is a new flow's first. */
#define FLOW_NEW_NS (FLOW_CLOSING_S * 1000 * MS)
#define FLOW_DATAGRAM_NS (180 * 1000 * MS)
#define FLOW_ESTABLISHED_NS (FLOW_ESTABLISHED_S * 1000 * MS)
/* A SYN this long after the last choice asks for another one: the backend may be gone, or the flow a new one. */
#define FLOW_RETRY_NS (900 * MS)
/* Client ports that are tried when another service's flow to the same backend has this one. */
#define FLOW_TRIES 8

struct ports {
	__be16 source;
	__be16 destination;
};

/* Offset of the transport header of a bare IPv4 frame. */
static __always_inline __u32 transport_of(const struct iphdr *ip)
{
	return sizeof(struct ethhdr) + ip->ihl * 4;
}

/* The flow of the IPv4 packet that begins at `offset`: CONTINUE, or why it has none. */
__noinline int flow_of(struct __sk_buff *skb, __u32 offset, struct flow_key *key)
{
	struct iphdr ip;
	struct ports ports;
	__u32 least;
	__u8 last;

	if (!key || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return VERDICT_MALFORMED;
	if (ip.version != 4)
		return VERDICT_SERVICE_PROTOCOL;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP)
		return VERDICT_SERVICE_PROTOCOL;
	if (ip.frag_off & bpf_htons(0x3fff))
		return VERDICT_SERVICE_FRAGMENT;
	/* The whole of what will be translated: ports, and the checksum behind them. */
	least = ip.protocol == IPPROTO_TCP ? 18 : 8;
	if (bpf_skb_load_bytes(skb, offset + ip.ihl * 4, &ports, sizeof(ports)) ||
	    bpf_skb_load_bytes(skb, offset + ip.ihl * 4 + least - 1, &last, 1))
		return VERDICT_MALFORMED;
	key->source = address_from_ip4(ip.saddr);
	key->destination = address_from_ip4(ip.daddr);
	key->source_port = ports.source;
	key->destination_port = ports.destination;
	key->protocol = ip.protocol;
	__builtin_memset(key->padding, 0, sizeof(key->padding));
	return CONTINUE;
}

/* The byte of TCP's flags in the IPv4 packet that begins at `offset`; 0 for anything else. */
static __always_inline __u8 tcp_flags(struct __sk_buff *skb, __u32 offset)
{
	struct iphdr ip;
	__u8 flags = 0;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP)
		return 0;
	bpf_skb_load_bytes(skb, offset + ip.ihl * 4 + 13, &flags, 1);
	return flags;
}

/* Of a packet that its own host sends on its way again; it does not survive the way into a tenant's namespace or out. */
#define AGAIN_MARK 0x6d676761

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* It opens a connection, and the flow of its name is over, or so old that its backend may be gone. */
static __always_inline bool opens_anew(const struct flow *flow, __u8 flags, __u64 now)
{
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       (flow->state == FLOW_CLOSING || elapsed(flow->pinned_at, now) > FLOW_RETRY_NS);
}

/* Also those whose time is over. */
static __always_inline struct flow *flow_find(const struct flow_key *key)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	return flow ? flow : bpf_map_lookup_elem(&young_flows, key);
}

static __always_inline bool flow_lives(const struct flow *flow, __u8 protocol, __u64 now)
{
	__u64 limit = protocol == IPPROTO_UDP ? FLOW_DATAGRAM_NS : FLOW_NEW_NS;

	if (flow->state == FLOW_ESTABLISHED)
		limit = FLOW_ESTABLISHED_NS;
	return elapsed(flow->seen_at, now) < limit;
}

static __always_inline void flow_key_back(const struct flow_key *there, const struct flow *translated,
					  struct flow_key *back)
{
	back->vni = there->vni;
	back->source = translated->destination;
	back->destination = translated->source;
	back->source_port = translated->destination_port;
	back->destination_port = translated->source_port;
	back->protocol = there->protocol;
	__builtin_memset(back->padding, 0, sizeof(back->padding));
}

static __always_inline void flow_forget(const struct flow_key *key)
{
	bpf_map_delete_elem(&flows, key);
	bpf_map_delete_elem(&young_flows, key);
}

/* Whether the backend's answers may come back under this name: nobody else's do, or this flow's own. */
__noinline int flow_free(const struct flow_key *back, const struct flow_key *there, __u64 now)
{
	struct flow *other;

	if (!back || !there)
		return false;
	other = flow_find(back);
	return !other || !flow_lives(other, back->protocol, now) ||
	       (address_equal(&other->source, &there->destination) && other->source_port == there->destination_port &&
		other->destination_port == there->source_port);
}

__noinline int quota_pinned(__u32 ifindex, __u64 now)
{
	struct port_key key = { .ifindex = ifindex };
	struct quota first = { .pinned_at = now };
	struct quota *quota = bpf_map_lookup_elem(&quotas, &key);

	if (quota)
		quota->pinned_at = now;
	else
		bpf_map_update_elem(&quotas, &key, &first, BPF_ANY);
	return CONTINUE;
}

/*
 * Gives the flow its backend (quota_pinned is its caller's to call): both translations stand before the first packet goes. A backend that is its own client
 * sees the service as the sender. CONTINUE, or VERDICT_NO_BACKEND when no client port is free.
 */
__noinline int flow_pin(const struct flow_key *key, const struct backend *backend, __u32 ifindex, __u64 now)
{
	struct flow_key back = {};
	struct flow *there;
	__u32 zero = 0;
	int free = false;

	there = bpf_map_lookup_elem(&flow_copy, &zero);
	if (!key || !backend || !there)
		return VERDICT_KERNEL;
	there->state = FLOW_NEW;
	there->pinned_at = now;
	there->seen_at = now;
	there->ifindex = ifindex;
	there->destination = backend->ip;
	there->destination_port = backend->port;
	there->source = address_equal(&backend->ip, &key->source) ? key->destination : key->source;
	there->source_port = key->source_port;
	for (int i = 0; i < FLOW_TRIES && !free; i++) {
		flow_key_back(key, there, &back);
		free = flow_free(&back, key, now);
		if (!free)
			there->source_port = bpf_htons(0x4000 | (mix(now, there->source_port + i) & 0x3fff));
	}
	if (!free)
		return VERDICT_NO_BACKEND;
	flow_forget(key);
	flow_forget(&back);
	if (bpf_map_update_elem(&young_flows, key, there, BPF_ANY))
		return VERDICT_KERNEL;
	there->source = key->destination;
	there->source_port = key->destination_port;
	there->destination = key->source;
	there->destination_port = key->source_port;
	return bpf_map_update_elem(&young_flows, &back, there, BPF_ANY) ? VERDICT_KERNEL : CONTINUE;
}

/* Whether answers to the endpoint may have to be translated at all. */
static __always_inline bool has_flows(__u32 ifindex)
{
	struct port_key key = { .ifindex = ifindex };

	return bpf_map_lookup_elem(&quotas, &key) != NULL;
}

/* Writes the flow's addresses and ports into a bare IPv4 frame; GSO and partial checksums stay what they are. */
__noinline int translate(struct __sk_buff *skb, const struct flow *flow)
{
	__u32 at_ip = sizeof(struct ethhdr);
	__be32 source, destination;
	struct ports ports, before;
	__u32 transport, sum;
	struct iphdr ip;
	__u64 flags = 0;

	if (!flow || bpf_skb_load_bytes(skb, at_ip, &ip, sizeof(ip)))
		return VERDICT_MALFORMED;
	transport = transport_of(&ip);
	sum = transport + (ip.protocol == IPPROTO_TCP ? 16 : 6);
	if (ip.protocol == IPPROTO_UDP)
		flags = BPF_F_MARK_MANGLED_0;
	if (bpf_skb_load_bytes(skb, transport, &before, sizeof(before)))
		return VERDICT_MALFORMED;
	source = address_to_ip4(&flow->source);
	destination = address_to_ip4(&flow->destination);
	ports.source = flow->source_port;
	ports.destination = flow->destination_port;
	if (bpf_l4_csum_replace(skb, sum, ip.saddr, source, flags | BPF_F_PSEUDO_HDR | 4) ||
	    bpf_l4_csum_replace(skb, sum, ip.daddr, destination, flags | BPF_F_PSEUDO_HDR | 4) ||
	    bpf_l4_csum_replace(skb, sum, before.source, ports.source, flags | 2) ||
	    bpf_l4_csum_replace(skb, sum, before.destination, ports.destination, flags | 2) ||
	    bpf_skb_store_bytes(skb, transport, &ports, sizeof(ports), 0) ||
	    bpf_l3_csum_replace(skb, at_ip + 10, ip.saddr, source, 4) ||
	    bpf_l3_csum_replace(skb, at_ip + 10, ip.daddr, destination, 4) ||
	    bpf_skb_store_bytes(skb, at_ip + 12, &source, 4, 0) ||
	    bpf_skb_store_bytes(skb, at_ip + 16, &destination, 4, 0))
		return VERDICT_KERNEL;
	return CONTINUE;
}

/* An answer came: the flow moves out of the reach of others, within its endpoint's share. */
__noinline int flow_establish(const struct flow_key *key)
{
	struct flow *here, *there;
	struct port_key port = {};
	struct flow_key other;
	struct quota *quota;

	if (!key)
		return CONTINUE;
	here = bpf_map_lookup_elem(&young_flows, key);
	if (!here)
		return CONTINUE;
	flow_key_back(key, here, &other);
	there = bpf_map_lookup_elem(&young_flows, &other);
	if (!there)
		return CONTINUE;
	port.ifindex = here->ifindex;
	quota = bpf_map_lookup_elem(&quotas, &port);
	if (!quota || quota->flows >= FLOWS_PER_PORT)
		return CONTINUE;
	here->state = FLOW_ESTABLISHED;
	there->state = FLOW_ESTABLISHED;
	if (bpf_map_update_elem(&flows, key, here, BPF_ANY))
		return CONTINUE;
	if (bpf_map_update_elem(&flows, &other, there, BPF_ANY)) {
		bpf_map_delete_elem(&flows, key);
		return CONTINUE;
	}
	__sync_fetch_and_add(&quota->flows, 1);
	bpf_map_delete_elem(&young_flows, key);
	bpf_map_delete_elem(&young_flows, &other);
	return CONTINUE;
}

/* One end says that it is over: so it is in both directions. */
__noinline int flow_close(const struct flow_key *key)
{
	struct flow_key other = {};
	struct flow *flow;

	if (!key)
		return VERDICT_KERNEL;
	flow = flow_find(key);
	if (!flow)
		return CONTINUE;
	flow->state = FLOW_CLOSING;
	flow_key_back(key, flow, &other);
	flow = flow_find(&other);
	if (flow)
		flow->state = FLOW_CLOSING;
	return CONTINUE;
}

/* The flow that an error quotes as it left here has no way to go: both of its rows are made to end now. */
__noinline int flow_end(struct __sk_buff *skb, __u32 vni)
{
	struct flow_key key = { .vni = vni }, other = {};
	struct flow *flow;

	if (flow_of(skb, sizeof(struct ethhdr) + ERROR_ROOM, &key) != CONTINUE)
		return CONTINUE;
	/* What was sent, translated, is the answer's name read backwards. */
	other.vni = vni;
	other.source = key.destination;
	other.destination = key.source;
	other.source_port = key.destination_port;
	other.destination_port = key.source_port;
	other.protocol = key.protocol;
	flow = flow_find(&other);
	if (!flow)
		return CONTINUE;
	flow->seen_at = 0;
	flow_key_back(&other, flow, &key);
	flow = flow_find(&key);
	if (flow)
		flow->seen_at = 0;
	return CONTINUE;
}

/* Now and then (2^33 ns) one direction keeps the other alive: who only receives, or only sends, has a flow all the same. */
__noinline int flow_seen(const struct flow_key *key, __u64 now)
{
	struct flow_key other = {};
	struct flow *flow;

	if (!key)
		return CONTINUE;
	flow = flow_find(key);
	if (!flow)
		return CONTINUE;
	flow_key_back(key, flow, &other);
	flow = flow_find(&other);
	if (flow)
		flow->seen_at = now;
	return CONTINUE;
}

/* No verdict: the packet was about a flow, and is translated. */
#define TRANSLATED (VERDICT_COUNT + 3)

/*
 * An ICMP error about a packet of a flow, as its client sees it: the backend's address becomes the service's, outside
 * and in what is quoted. TRANSLATED, or CONTINUE when it is about no flow.
 */
__noinline int translate_error(struct __sk_buff *skb, __u32 vni)
{
	struct {
		struct iphdr ip;
		struct icmp_error icmp;
		struct iphdr quoted;
		struct ports ports;
	} head;
	__u32 at_icmp = sizeof(struct ethhdr) + sizeof(head.ip), at_quoted = at_icmp + sizeof(head.icmp);
	struct flow_key key = { .vni = vni };
	__be32 source, destination;
	struct ports ports;
	struct flow *flow;
	__u32 sum;

	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &head, sizeof(head)))
		return CONTINUE;
	if (head.ip.version != 4 || head.ip.protocol != IPPROTO_ICMP || head.ip.ihl != 5 || head.quoted.ihl != 5 || (head.ip.frag_off & bpf_htons(0x3fff)) ||
	    (head.icmp.type != 3 && head.icmp.type != 11 && head.icmp.type != 12))
		return CONTINUE;
	key.source = address_from_ip4(head.quoted.daddr);
	key.destination = address_from_ip4(head.quoted.saddr);
	key.source_port = head.ports.destination;
	key.destination_port = head.ports.source;
	key.protocol = head.quoted.protocol;
	flow = flow_find(&key);
	if (!flow)
		return CONTINUE;
	source = address_to_ip4(&flow->destination);
	destination = address_to_ip4(&flow->source);
	ports.source = flow->destination_port;
	ports.destination = flow->source_port;
	/* The quoted header keeps its own sum true, so its words change nothing in the sum around it but for the ports. */
	sum = at_icmp + 2;
	if (bpf_l3_csum_replace(skb, at_quoted + 10, head.quoted.saddr, source, 4) ||
	    bpf_l3_csum_replace(skb, at_quoted + 10, head.quoted.daddr, destination, 4) ||
	    bpf_skb_store_bytes(skb, at_quoted + 12, &source, 4, 0) ||
	    bpf_skb_store_bytes(skb, at_quoted + 16, &destination, 4, 0) ||
	    bpf_l4_csum_replace(skb, sum, head.ports.source, ports.source, 2) ||
	    bpf_l4_csum_replace(skb, sum, head.ports.destination, ports.destination, 2) ||
	    bpf_skb_store_bytes(skb, at_quoted + sizeof(head.quoted), &ports, sizeof(ports), 0))
		return VERDICT_KERNEL;
	/* The backend itself may say it, or a gateway on the way; and a backend that is its own client says it to the service. */
	if (head.ip.saddr == head.quoted.daddr &&
	    (bpf_l3_csum_replace(skb, sizeof(struct ethhdr) + 10, head.ip.saddr, destination, 4) ||
	     bpf_skb_store_bytes(skb, sizeof(struct ethhdr) + 12, &destination, 4, 0)))
		return VERDICT_KERNEL;
	if (bpf_l3_csum_replace(skb, sizeof(struct ethhdr) + 10, head.ip.daddr, source, 4) ||
	    bpf_skb_store_bytes(skb, sizeof(struct ethhdr) + 16, &source, 4, 0))
		return VERDICT_KERNEL;
	return TRANSLATED;
}

/*
 * A bare IPv4 frame on its last step to a client of services: answers of its flows come from the service again.
 * VERDICT_SERVICE_PROTOCOL: it is of no flow, but may be about one.
 */
__noinline int translate_back(struct __sk_buff *skb, __u32 vni, __u64 now)
{
	struct flow_key key = { .vni = vni };
	struct flow *flow;
	__u8 flags;
	int verdict;

	verdict = flow_of(skb, sizeof(struct ethhdr), &key);
	if (verdict != CONTINUE)
		return verdict == VERDICT_SERVICE_PROTOCOL ? verdict : CONTINUE;
	flow = flow_find(&key);
	if (!flow || !flow_lives(flow, key.protocol, now))
		return CONTINUE;
	if ((flow->seen_at ^ now) >> 33)
		flow_seen(&key, now);
	flow->seen_at = now;
	verdict = translate(skb, flow);
	if (verdict != CONTINUE || key.protocol != IPPROTO_TCP)
		return verdict;
	flags = tcp_flags(skb, sizeof(struct ethhdr));
	if (flags & (TCP_FIN | TCP_RST))
		return flow_close(&key);
	return flow->state == FLOW_NEW ? flow_establish(&key) : CONTINUE;
}

/* For the endpoint at `ifindex`: undoes what was done to the packets that this one answers. */
static __always_inline int undo(struct __sk_buff *skb, __u32 ifindex, __u32 vni, __u64 now)
{
	int verdict;

	if (!has_flows(ifindex))
		return CONTINUE;
	verdict = translate_back(skb, vni, now);
	if (verdict == VERDICT_SERVICE_PROTOCOL)
		verdict = translate_error(skb, vni);
	return verdict == TRANSLATED ? CONTINUE : verdict;
}

/*
 * The verdict of an error to the endpoint at `ifindex`, about a packet that was translated already: it has to name what
 * the endpoint sent, and its flow needs another backend.
 */
__noinline int undo_error(struct __sk_buff *skb, __u32 ifindex, __u32 vni, int verdict)
{
	int translated;

	if (verdict != VERDICT_UNREACHABLE || !has_flows(ifindex))
		return verdict;
	flow_end(skb, vni);
	translated = translate_error(skb, vni);
	return translated == CONTINUE || translated == TRANSLATED ? verdict : translated;
}

/* The packet sets out again, and finds the flow's translation. */
static __always_inline enum verdict set_out_again(struct __sk_buff *skb, __u32 ifindex, int *action)
{
	skb->mark = AGAIN_MARK;
	*action = bpf_redirect(ifindex, BPF_F_INGRESS);
	return VERDICT_TOLD_SERVICE;
}

#endif
