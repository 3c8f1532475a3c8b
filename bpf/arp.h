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
	} __attribute__((packed)) *frame = at(view, offset, sizeof(*frame));
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

struct echo {
	__u8 type;
	__u8 code;
	__be16 checksum;
} __attribute__((packed));

/* The echo request in the frame becomes its reply; false for anything else. Fragments behind the first follow. */
static __always_inline bool ping_reply(const struct view *view)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed)) *frame = at(view, 0, sizeof(*frame));
	struct echo *echo;
	__u8 mac[6];
	__be32 ip;

	if (!frame || frame->ip.protocol != IPPROTO_ICMP)
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

#endif
