/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests turned into their replies, in place. */
#ifndef MEGREZ_ARP_H
#define MEGREZ_ARP_H

#include "packet.h"

/* The ARP request at `offset` becomes the reply that its target, at `mac`, would have sent. */
static __always_inline bool arp_reply(const struct view *view, __u32 offset, const __u8 *mac)
{
	struct {
		struct ethhdr eth;
		struct arp_packet arp;
	} __attribute__((packed, aligned(2))) *frame = at(view, offset, sizeof(*frame));
	__be32 target;

	if (!frame)
		return false;
	mac_copy(frame->eth.h_dest, frame->arp.sender_mac);
	mac_copy(frame->eth.h_source, mac);
	target = frame->arp.target;
	frame->arp.operation = bpf_htons(2);
	mac_copy(frame->arp.target_mac, frame->arp.sender_mac);
	frame->arp.target = frame->arp.sender;
	mac_copy(frame->arp.sender_mac, mac);
	frame->arp.sender = target;
	return true;
}

static __always_inline __be16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

#define NEIGHBOUR_ROUTER 0x80000000
#define NEIGHBOUR_SOLICITED 0x40000000
#define NEIGHBOUR_OVERRIDE 0x20000000

/* The same for IPv6: a neighbour solicitation becomes the advertisement. */
static __always_inline bool neighbour_reply(const struct view *view, __u32 offset, const __u8 *mac, bool router)
{
	struct {
		struct ethhdr eth;
		struct ip6_header ip;
		struct neighbour neighbour;
	} __attribute__((packed, aligned(2))) *frame = at(view, offset, sizeof(*frame));
	struct neighbour_option *option;
	__u32 flags = NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE | (router ? NEIGHBOUR_ROUTER : 0);
	struct {
		__be32 length;
		__be32 next;
	} pseudo = { .next = bpf_htonl(ICMP6) };
	__u8 *addresses;
	__s64 sum;

	if (!frame)
		return false;
	mac_copy(frame->eth.h_dest, frame->eth.h_source);
	mac_copy(frame->eth.h_source, mac);
	frame->ip.destination = frame->ip.source;
	frame->ip.source = frame->neighbour.target;
	frame->neighbour.type = NEIGHBOUR_ADVERTISEMENT;
	frame->neighbour.flags = bpf_htonl(flags);
	frame->neighbour.checksum = 0;
	pseudo.length = bpf_htonl(bpf_ntohs(frame->ip.length));
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
	/* Both addresses, and the message behind them. */
	addresses = (__u8 *)frame + sizeof(frame->eth) + __builtin_offsetof(struct ip6_header, source);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)addresses, 2 * sizeof(struct address) + sizeof(frame->neighbour), sum);
	if (frame->ip.length == bpf_htons(sizeof(struct neighbour) + sizeof(*option))) {
		option = at(view, offset + sizeof(*frame), sizeof(*option));
		if (!option)
			return false;
		option->type = 2;
		option->length = 1;
		mac_copy(option->mac, mac);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)option, sizeof(*option), sum);
	}
	frame->neighbour.checksum = fold(sum);
	return true;
}

/* The request in the frame at `offset`, of either family, becomes the reply of its target. */
static __always_inline bool reply_to_request(const struct view *view, __u32 offset, __be16 protocol, const __u8 *mac,
					     bool router)
{
	return protocol == bpf_htons(ETH_P_ARP) ? arp_reply(view, offset, mac) :
						  neighbour_reply(view, offset, mac, router);
}

struct echo {
	__u8 type;
	__u8 code;
	__be16 checksum;
} __attribute__((packed, aligned(2)));

/* The echo request in the frame becomes its reply; false for anything else. Fragments behind the first follow. */
static __always_inline bool ping_reply(const struct view *view)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed, aligned(2))) *frame = at(view, 0, sizeof(*frame));
	struct echo *echo;
	__u8 mac[6];
	__be32 ip;

	if (!frame || frame->eth.h_proto != bpf_htons(ETH_P_IP) || frame->ip.protocol != IPPROTO_ICMP)
		return false;
	if (!(frame->ip.frag_off & bpf_htons(0x1fff))) {
		echo = at(view, sizeof(struct ethhdr) + frame->ip.ihl * 4, sizeof(*echo));
		if (!echo || echo->type != 8 || echo->code)
			return false;
		/* RFC 1624: the type was the high byte 8 and becomes 0. */
		__u32 sum = echo->checksum + bpf_htons(0x0800);

		echo->type = 0;
		echo->checksum = sum + (sum >> 16);
	}
	mac_copy(mac, frame->eth.h_dest);
	mac_copy(frame->eth.h_dest, frame->eth.h_source);
	mac_copy(frame->eth.h_source, mac);
	ip = frame->ip.daddr;
	frame->ip.daddr = frame->ip.saddr;
	frame->ip.saddr = ip;
	return true;
}

/* The same for ICMPv6. The sum over both addresses does not mind which is which. */
static __always_inline bool ping6_reply(const struct view *view)
{
	struct {
		struct ethhdr eth;
		struct ip6_header ip;
		struct echo echo;
	} __attribute__((packed, aligned(2))) *frame = at(view, 0, sizeof(*frame));
	struct address source;
	__u8 mac[6];
	__u32 sum;

	if (!frame || frame->eth.h_proto != bpf_htons(ETH_P_IPV6) || frame->ip.next != ICMP6 || frame->echo.type != 128 ||
	    frame->echo.code)
		return false;
	/* RFC 1624: 128 in the high byte becomes 129. */
	sum = (__u16)~frame->echo.checksum + bpf_htons(0x0100);
	frame->echo.type = 129;
	frame->echo.checksum = ~(sum + (sum >> 16));
	mac_copy(mac, frame->eth.h_dest);
	mac_copy(frame->eth.h_dest, frame->eth.h_source);
	mac_copy(frame->eth.h_source, mac);
	source = frame->ip.source;
	frame->ip.source = frame->ip.destination;
	frame->ip.destination = source;
	return true;
}

/* An echo request of either family becomes its reply. */
static __always_inline bool echo_reply(const struct view *view, __be16 protocol)
{
	return protocol == bpf_htons(ETH_P_IPV6) ? ping6_reply(view) : ping_reply(view);
}

#endif
