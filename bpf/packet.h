/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets as the stages see them, whatever the hook: bytes between two pointers. `at` is the only way to them.
 *
 * The parsing contract: a parser reads a header at an offset, fills a struct with values (never pointers, which the
 * next helper call would invalidate) and returns CONTINUE or the verdict that ends the packet.
 */
#ifndef MEGREZ_PACKET_H
#define MEGREZ_PACKET_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "clock.h"
#include "maps.h"
#include "wire.h"

#define CONTINUE VERDICT_COUNT

/* Of a tenant's frame, what the programs read: Ethernet, and ARP or IP and ports. More would make streams be copied. */
#define FRAME_HEADERS (14 + 28)
#define FRAME6_HEADERS (14 + 40 + 32)

/* Every header of ours fits: underlay, Geneve with options of any length, inner Ethernet and IP or ARP. */
#define HEADERS_MAX (14 + 20 + 8 + 8 + 252 + 14 + 40 + 32)

struct view {
	__u8 *data;
	__u8 *end;
};

static __always_inline void *at(const struct view *view, __u32 offset, __u32 size)
{
	__u8 *here;

	if (offset > HEADERS_MAX)
		return NULL;
	here = view->data + offset;
	if (here + size > view->end)
		return NULL;
	return here;
}

static __always_inline __be16 ip4_checksum(const struct iphdr *ip)
{
	const __u16 *half = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* An Ethernet frame of a tenant. */
struct frame {
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__be16 protocol;	    /* ETH_P_IP, ETH_P_IPV6 or ETH_P_ARP */
	__u8 kind;		    /* enum frame_kind */
	__u8 tos;
	struct address source;	    /* of a request or reply: who sends it */
	struct address destination; /* of a request: the address asked for; of a reply: who asked */
	__u8 hops;		    /* of IP: time to live */
	__u8 transport;		    /* of IP: the protocol inside */
};

enum frame_kind {
	FRAME_PACKET,
	FRAME_REQUEST, /* ARP's, or a neighbour solicitation */
	FRAME_REPLY,
};

static __always_inline enum verdict parse_ip4(const struct view *view, __u32 offset, __u32 length, struct frame *frame)
{
	const struct iphdr *ip = at(view, offset, sizeof(*ip));
	__u32 total;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return VERDICT_MALFORMED;
	total = bpf_ntohs(ip->tot_len);
	if (total < (__u32)ip->ihl * 4 || offset + total > length)
		return VERDICT_MALFORMED;
	frame->source = address_from_ip4(ip->saddr);
	frame->destination = address_from_ip4(ip->daddr);
	frame->tos = ip->tos;
	frame->hops = ip->ttl;
	frame->transport = ip->protocol;
	return CONTINUE;
}

static __always_inline enum verdict parse_arp(const struct view *view, __u32 offset, struct frame *frame)
{
	const struct arp_packet *arp = at(view, offset, sizeof(*arp));

	if (!arp || arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != 6 || arp->protocol_length != 4)
		return VERDICT_MALFORMED;
	if (arp->operation != bpf_htons(1) && arp->operation != bpf_htons(2))
		return VERDICT_MALFORMED;
	frame->kind = arp->operation == bpf_htons(1) ? FRAME_REQUEST : FRAME_REPLY;
	frame->source = address_from_ip4(arp->sender);
	frame->destination = address_from_ip4(arp->target);
	return CONTINUE;
}

static __always_inline enum verdict parse_neighbour(const struct view *view, __u32 offset, __u32 size,
						    struct frame *frame)
{
	const struct neighbour *neighbour = at(view, offset, sizeof(*neighbour));

	/* Shorter messages are no neighbour's. */
	if (!neighbour)
		return CONTINUE;
	if (neighbour->type != NEIGHBOUR_SOLICITATION && neighbour->type != NEIGHBOUR_ADVERTISEMENT)
		return CONTINUE;
	if (frame->hops != 255 || neighbour->code || size < sizeof(*neighbour))
		return VERDICT_MALFORMED;
	if (neighbour->type == NEIGHBOUR_SOLICITATION) {
		frame->kind = FRAME_REQUEST;
		frame->destination = neighbour->target;
		return size == sizeof(*neighbour) || size == sizeof(*neighbour) + sizeof(struct neighbour_option) ||
				       address_is_zero(&frame->source) ?
			       CONTINUE :
			       VERDICT_MALFORMED;
	}
	frame->kind = FRAME_REPLY;
	frame->source = neighbour->target;
	return CONTINUE;
}

static __always_inline enum verdict parse_ip6(const struct view *view, __u32 offset, __u32 length, struct frame *frame)
{
	const struct ip6_header *ip = at(view, offset, sizeof(*ip));
	__u32 size;

	if (!ip || bpf_ntohl(ip->version_class) >> 28 != 6)
		return VERDICT_MALFORMED;
	size = bpf_ntohs(ip->length);
	if (offset + sizeof(*ip) + size > length)
		return VERDICT_MALFORMED;
	frame->source = ip->source;
	frame->destination = ip->destination;
	frame->tos = bpf_ntohl(ip->version_class) >> 20;
	frame->hops = ip->hops;
	frame->transport = ip->next;
	if (address_is_ip4(&frame->source) || address_is_ip4(&frame->destination))
		return VERDICT_MALFORMED;
	return ip->next == ICMP6 && size >= 8 ? parse_neighbour(view, offset + sizeof(*ip), size, frame) : CONTINUE;
}

/* `length` is the whole packet's, linear or not. */
static __always_inline enum verdict parse_frame(const struct view *view, __u32 offset, __u32 length,
						struct frame *frame)
{
	const struct ethhdr *eth = at(view, offset, sizeof(*eth));

	if (!eth)
		return VERDICT_MALFORMED;
	mac_copy(frame->destination_mac, eth->h_dest);
	mac_copy(frame->source_mac, eth->h_source);
	frame->protocol = eth->h_proto;
	frame->kind = FRAME_PACKET;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return parse_ip4(view, offset + sizeof(*eth), length, frame);
	case bpf_htons(ETH_P_ARP):
		return parse_arp(view, offset + sizeof(*eth), frame);
	case bpf_htons(ETH_P_IPV6):
		return parse_ip6(view, offset + sizeof(*eth), length, frame);
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return VERDICT_VLAN;
	default:
		return VERDICT_ETHERTYPE;
	}
}

/* What the outer headers say. */
struct tunnel {
	struct address source;
	__u32 vni;
	__u32 path;  /* offset of the path option; 0: none */
	__u32 inner; /* offset of the inner frame */
	bool congested;
};

static __always_inline enum verdict parse_options(const struct view *view, __u32 bytes, struct tunnel *tunnel)
{
	__u32 offset = tunnel->inner;
	__u32 end = offset + bytes;

	for (int i = 0; i < 4 && offset < end; i++) {
		const struct option_header *option = at(view, offset, sizeof(*option));
		__u32 size;

		if (!option)
			return VERDICT_MALFORMED;
		if (option->class != bpf_htons(OPTION_CLASS))
			return VERDICT_PASS;
		size = sizeof(*option) + (option->length & 0x1f) * 4;
		if (offset + size > end)
			return VERDICT_BAD_OPTION;
		if (option->type == OPTION_PATH) {
			if (size != sizeof(struct path_option) || tunnel->path)
				return VERDICT_BAD_OPTION;
			tunnel->path = offset;
		} else if (option->type & OPTION_CRITICAL) {
			return VERDICT_UNKNOWN_OPTION;
		}
		offset += size;
	}
	if (offset != end)
		return VERDICT_BAD_OPTION;
	tunnel->inner = end;
	return CONTINUE;
}

/* The headers every packet of ours has. */
struct outer_headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
} __attribute__((packed, aligned(2)));

static __always_inline bool ip4_intact(const struct view *view)
{
	const struct iphdr *ip = at(view, sizeof(struct ethhdr), sizeof(*ip));

	return ip && ip4_checksum(ip) == 0;
}

/*
 * VERDICT_PASS: not for this host, or Geneve of somebody else. What is too short for these headers is not ours, or the
 * stack's to refuse. `options` are the bytes that parse_options has to read.
 */
static __always_inline enum verdict parse_tunnel(const struct view *view, __u32 length, const struct config *config,
						 struct tunnel *tunnel, __u32 *options)
{
	const struct outer_headers *outer = at(view, 0, sizeof(*outer));
	__u32 total;

	if (!outer || outer->eth.h_proto != bpf_htons(ETH_P_IP) || outer->ip.version != 4 || outer->ip.ihl != 5 ||
	    outer->ip.protocol != IPPROTO_UDP || (outer->ip.frag_off & bpf_htons(0x3fff)) ||
	    outer->udp.dest != bpf_htons(GENEVE_PORT) || outer->ip.daddr != address_to_ip4(&config->self))
		return VERDICT_PASS;
	if (outer->geneve.version_length >> 6 || outer->geneve.protocol != bpf_htons(GENEVE_PROTOCOL))
		return VERDICT_PASS;
	total = bpf_ntohs(outer->ip.tot_len);
	if (sizeof(struct ethhdr) + total > length || sizeof(struct ethhdr) + total < sizeof(*outer) ||
	    bpf_ntohs(outer->udp.len) != total - sizeof(struct iphdr) || !ip4_intact(view))
		return VERDICT_MALFORMED;
	tunnel->source = address_from_ip4(outer->ip.saddr);
	tunnel->vni = outer->geneve.vni[0] << 16 | outer->geneve.vni[1] << 8 | outer->geneve.vni[2];
	tunnel->congested = (outer->ip.tos & 3) == 3;
	tunnel->path = 0;
	tunnel->inner = sizeof(*outer);
	*options = (outer->geneve.version_length & 0x3f) * 4;
	return CONTINUE;
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
static __always_inline bool readdress_hop(const struct view *view, const struct config *config,
					  const struct address *host, __u8 ttl)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} *outer = at(view, sizeof(struct ethhdr), sizeof(*outer));

	if (!outer)
		return false;
	outer->ip.saddr = address_to_ip4(&config->self);
	outer->ip.daddr = address_to_ip4(host);
	outer->ip.ttl = ttl;
	outer->ip.check = 0;
	outer->ip.check = ip4_checksum(&outer->ip);
	outer->udp.check = 0;
	return true;
}

static __always_inline bool readdress(const struct view *view, const struct config *config, const struct address *host)
{
	return readdress_hop(view, config, host, OUTER_TTL);
}

#endif
