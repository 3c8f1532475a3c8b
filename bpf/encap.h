/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Putting packets into the tunnel, and taking them out. tc only. */
#ifndef MEGREZ_ENCAP_H
#define MEGREZ_ENCAP_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "life.h"
#include "packet.h"
#include "view.h"

/* The kernel says so when the packet was in a tunnel before and its marks survived a veth. */
#define EALREADY 114
/* Of bpf_skb_adjust_room since 6.3: what comes out is of this family. Older headers do not have the names. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)

/* Flows keep their order when the underlay spreads them by this port. */
static __always_inline __be16 source_port(__u32 hash)
{
	return bpf_htons(0xc000 | (hash & 0x3fff));
}

static __always_inline __u32 mix(__u32 hash, __u32 value)
{
	hash = (hash ^ value) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

static __always_inline __u32 flow_hash6(const struct view *view, __u32 offset)
{
	const struct ip6_header *ip = at(view, offset, sizeof(*ip));
	const __u32 *ports;
	__u32 hash;

	if (!ip)
		return 0;
	hash = mix(mix(mix(mix(0, ip->source.word[2]), ip->source.word[3]), ip->destination.word[2]),
		   ip->destination.word[3]);
	hash = mix(hash, ip->next);
	if (ip->next != IPPROTO_TCP && ip->next != IPPROTO_UDP)
		return hash;
	ports = at(view, offset + sizeof(*ip), sizeof(*ports));
	return ports ? mix(hash, *ports) : hash;
}

/* Over addresses, protocol and ports; over the first three for every fragment, so that a datagram stays together. */
static __always_inline __u32 flow_hash(const struct view *view, __u32 offset)
{
	const struct iphdr *ip = at(view, offset, sizeof(*ip));
	const __u32 *ports;
	__u32 hash;

	if (!ip)
		return 0;
	hash = mix(mix(mix(0, ip->saddr), ip->daddr), ip->protocol);
	if ((ip->frag_off & bpf_htons(0x3fff)) || (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return hash;
	ports = at(view, offset + ip->ihl * 4, sizeof(*ports));
	return ports ? mix(hash, *ports) : hash;
}

/* Written in place: a copy would stand on the stack beside it. */
static __always_inline void fill_ip(void *at_ip, const struct config *config, const struct address *host, __u32 length,
				    __u8 tos)
{
	struct {
		struct iphdr ip;
	} __attribute__((packed, aligned(2))) *outer = at_ip;
	__u32 sum;

	outer->ip.version = 4;
	outer->ip.ihl = 5;
	outer->ip.tos = tos;
	outer->ip.tot_len = bpf_htons(length);
	outer->ip.id = 0;
	outer->ip.frag_off = bpf_htons(0x4000); /* don't fragment */
	outer->ip.ttl = OUTER_TTL;
	outer->ip.protocol = IPPROTO_UDP;
	outer->ip.saddr = address_to_ip4(&config->self);
	outer->ip.daddr = address_to_ip4(host);
	sum = bpf_htons(0x4500 | tos) + bpf_htons(length) + bpf_htons(0x4000) + bpf_htons(OUTER_TTL << 8 | IPPROTO_UDP);
	sum += (outer->ip.saddr & 0xffff) + (outer->ip.saddr >> 16);
	sum += (outer->ip.daddr & 0xffff) + (outer->ip.daddr >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	outer->ip.check = ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline struct udphdr outer_udp(__be16 source, __u32 length)
{
	return (struct udphdr){ .source = source, .dest = bpf_htons(GENEVE_PORT), .len = bpf_htons(length) };
}

static __always_inline void fill_geneve(struct geneve_header *geneve, __u32 vni, __u32 option_bytes)
{
	geneve->version_length = option_bytes / 4;
	geneve->flags = option_bytes ? 0x40 : 0; /* ours are critical */
	geneve->protocol = bpf_htons(GENEVE_PROTOCOL);
	geneve->vni[0] = vni >> 16;
	geneve->vni[1] = vni >> 8;
	geneve->vni[2] = vni;
	geneve->reserved = 0;
}

static __always_inline void fill_path(struct path_option *path, enum op op)
{
	__builtin_memset(path, 0, sizeof(*path));
	path->header.class = bpf_htons(OPTION_CLASS);
	path->header.type = OPTION_PATH;
	path->header.length = (sizeof(*path) - sizeof(path->header)) / 4;
	path->op = op;
}

/* What every packet in the tunnel needs to know of where it goes; the MACs are the inner frame's. */
struct encap {
	const struct config *config;
	const struct address *host;
	__u32 vni;
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__be16 source_port;
	__be16 protocol; /* of the inner frame */
	__u8 tos;
};

__noinline int make_room(struct __sk_buff *skb, __u32 bytes, __u32 protocol)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
		      BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct ethhdr));
	int failed = bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, flags);

	if (failed != -EALREADY)
		return failed;
	if (protocol != bpf_htons(ETH_P_IPV6))
		return bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	/* Only those flags, or taking room away, make the packet one of IPv4. */
	failed = bpf_skb_adjust_room(skb, bytes + sizeof(struct iphdr), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	if (failed)
		return failed;
	return bpf_skb_adjust_room(skb, -(__s32)sizeof(struct iphdr), BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_FIXED_GSO | ADJ_ROOM_DECAP_L3_IPV4);
}

static __always_inline void fill_inner(struct ethhdr *eth, const struct encap *encap)
{
	mac_copy(eth->h_dest, encap->destination_mac);
	mac_copy(eth->h_source, encap->source_mac);
	eth->h_proto = encap->protocol;
}

/* Hands a packet that is addressed to `host` to the neighbour it goes to. */
static __always_inline int redirect_to(const struct config *config, const struct address *host)
{
	struct bpf_redir_neigh neighbour = { .nh_family = 2 /* AF_INET */, .ipv4_nh = address_to_ip4(host) };

	if (address_in(host, &config->onlink_network, &config->onlink_mask))
		return bpf_redirect_neigh(config->nic, &neighbour, sizeof(neighbour), 0);
	return bpf_redirect_neigh(config->nic, NULL, 0, 0);
}

/* An IP packet to its host, without options. Keeps GSO and partial checksums. */
static __always_inline enum verdict encap_direct(struct __sk_buff *skb, const struct encap *encap, int *action)
{
	__u32 length = skb->len + sizeof(struct outer_direct) - sizeof(struct ethhdr);
	struct outer_direct outer;

	fill_ip(&outer.ip, encap->config, encap->host, length, encap->tos);
	outer.udp = outer_udp(encap->source_port, length - sizeof(struct iphdr));
	fill_geneve(&outer.geneve, encap->vni, 0);
	fill_inner(&outer.inner, encap);
	if (make_room(skb, sizeof(outer), encap->protocol) || bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &outer, sizeof(outer), 0))
		return VERDICT_KERNEL;
	*action = redirect_to(encap->config, encap->host);
	return CONTINUE;
}

/* The same with the path option that `outer` holds already. */
static __always_inline enum verdict encap_path(struct __sk_buff *skb, const struct encap *encap,
					       struct outer_ask *outer, int *action)
{
	__u32 length = skb->len + sizeof(*outer) - sizeof(struct ethhdr);

	fill_ip(&outer->ip, encap->config, encap->host, length, encap->tos);
	outer->udp = outer_udp(encap->source_port, length - sizeof(struct iphdr));
	fill_geneve(&outer->geneve, encap->vni, sizeof(outer->path));
	fill_inner(&outer->inner, encap);
	if (make_room(skb, sizeof(*outer), encap->protocol) || bpf_skb_store_bytes(skb, sizeof(struct ethhdr), outer, sizeof(*outer), 0))
		return VERDICT_KERNEL;
	*action = redirect_to(encap->config, encap->host);
	return CONTINUE;
}

/*
 * An ARP frame with the path option that `outer` holds already. adjust_room and redirect_neigh know IP only, so the
 * frame gets a whole new head and the next hop that the agent keeps.
 */
static __always_inline enum verdict encap_arp(struct __sk_buff *skb, const struct config *config, __u32 vni,
					      const struct address *host, struct outer_arp *outer, int *action)
{
	struct host_key key = { .host = *host };
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &key);
	__u32 length = skb->len + sizeof(*outer) - sizeof(struct ethhdr);

	if (!hop)
		return VERDICT_NO_NEXT_HOP;
	mac_copy(outer->eth.h_dest, hop->destination);
	mac_copy(outer->eth.h_source, hop->source);
	outer->eth.h_proto = bpf_htons(ETH_P_IP);
	fill_ip(&outer->ip, config, host, length, 0);
	outer->udp = outer_udp(source_port(mix(vni, host->word[3])), length - sizeof(struct iphdr));
	fill_geneve(&outer->geneve, vni, sizeof(outer->path));
	*action = bpf_redirect(hop->ifindex, 0);
	if (bpf_skb_change_head(skb, sizeof(*outer), 0) || bpf_skb_store_bytes(skb, 0, outer, sizeof(*outer), 0))
		return VERDICT_KERNEL;
	return CONTINUE;
}

struct asking {
	struct outer_headers outer;
	struct path_option path;
} __attribute__((packed, aligned(2)));

/*
 * A clone of the asking packet, which is in the tunnel already and otherwise ready, goes to a suspect owner as ECHO: its
 * answer is a sign of life, and nobody delivers it. The packet itself is left as it was.
 */
static __noinline int probe(struct __sk_buff *skb, const struct config *config, const struct address *suspect,
			    __u64 now)
{
	struct host_key key = { .host = *suspect };
	struct host_state *state = bpf_map_lookup_elem(&hosts, &key);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &key);
	struct address owner;
	struct ethhdr eth;
	struct asking *asking;
	struct view view;

	if (!state || !hop || !probe_due(state, now))
		return 0;
	view = view_of_headers(skb, sizeof(*asking));
	asking = at(&view, 0, sizeof(*asking));
	if (!asking)
		return 0;
	eth = asking->outer.eth;
	owner = address_from_ip4(asking->outer.ip.daddr);
	mac_copy(asking->outer.eth.h_dest, hop->destination);
	mac_copy(asking->outer.eth.h_source, hop->source);
	asking->outer.eth.h_proto = bpf_htons(ETH_P_IP);
	asking->path.op = OP_ECHO;
	readdress(&view, config, suspect);
	bpf_clone_redirect(skb, hop->ifindex, 0);
	view = view_of_headers(skb, sizeof(*asking));
	asking = at(&view, 0, sizeof(*asking));
	if (!asking)
		return 0;
	asking->outer.eth = eth;
	asking->path.op = OP_ASK;
	readdress(&view, config, &owner);
	return 0;
}

/* Leaves the inner frame, addressed to `mac`. */
static __always_inline enum verdict decap(struct __sk_buff *skb, const struct tunnel *tunnel,
					  const struct frame *frame, const __u8 *mac)
{
	struct ethhdr eth;

	mac_copy(eth.h_dest, mac);
	mac_copy(eth.h_source, frame->source_mac);
	eth.h_proto = frame->protocol;
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

	if (frame->protocol == bpf_htons(ETH_P_IPV6))
		flags |= ADJ_ROOM_DECAP_L3_IPV6;
	if (bpf_skb_adjust_room(skb, -(__s32)tunnel->inner, BPF_ADJ_ROOM_MAC, flags) ||
	    bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
		return VERDICT_KERNEL;
	/* The underlay was congested: tell the flow, where it can hear it (RFC 6040). */
	if (tunnel->congested && frame->protocol != bpf_htons(ETH_P_ARP))
		bpf_skb_ecn_set_ce(skb);
	return CONTINUE;
}

#endif
