/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire format: Geneve (RFC 8926) over IPv4 and UDP, and the options of our class. */
#ifndef MEGREZ_WIRE_H
#define MEGREZ_WIRE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "abi.h"

#define GENEVE_PORT 6081
#define GENEVE_PROTOCOL 0x6558	/* Ethernet payload */
#define OUTER_TTL 64
#define OPTION_CLASS 0xff4d	/* experimental range */
#define OPTION_CRITICAL 0x80
#define OPTION_PATH 0x81	/* critical: whoever does not know it must not deliver the packet */
#define OPTION_TAG 0x02

/*
 * Packed, but not to bytes: a byte at a time is how the compiler would read them then. Behind the 14 bytes of Ethernet
 * everything lies on even addresses.
 */
struct geneve_header {
	__u8 version_length; /* version 2 bits, option length in words 6 bits */
	__u8 flags;
	__be16 protocol;
	__u8 vni[3];
	__u8 reserved;
} __attribute__((packed, aligned(2)));

struct option_header {
	__be16 class;
	__u8 type;
	__u8 length; /* of the body, in words, low 5 bits */
} __attribute__((packed, aligned(2)));

enum op {
	OP_ASK = 1,
	OP_TELL,
	OP_NONE,
	OP_GONE,
	OP_PIN,
	OP_ECHO,
};

enum ask_flag {
	ASK_SECOND = 1,	 /* one holder that may not deny did not know it: the other was asked */
	ASK_TWIN = 2,	 /* an ask before had no answer: who passes this one on chooses the other owner */
	ECHO_ANSWER = 4, /* of ECHO: this is the answer */
	OPTION_SERVICE = 8, /* told: the address is a service; asked: the owner was chosen by the flow */
};

/*
 * ASK and its answers have one length, so that a bouncer answers in place. GRO of the kernel's tunnel takes the bytes
 * behind the 8-byte header for a frame: here it would find its type in the upper half of `subnet`, which is below
 * 0x100 and therefore no protocol that GRO merges.
 */
struct path_option {
	struct option_header header;
	__u8 op;
	__u8 hops;
	__be16 flags; /* enum ask_flag */
	__be32 epoch;
	__be32 subnet;
	__be64 cookie;
	__be64 generation;
	__be32 host; /* asked: of the asker; told: of the endpoint */
	__u8 mac[6];
	__be16 reserved2;
} __attribute__((packed, aligned(2)));

/* The path option with PIN, from `generation` on. */
struct pin {
	struct address backend; /* all zero: nobody */
	__be16 port;
	__be16 refusal; /* enum refusal */
} __attribute__((packed, aligned(2)));

_Static_assert(__builtin_offsetof(struct path_option, generation) + sizeof(struct pin) == sizeof(struct path_option),
	       "a pin has the length of its question");
_Static_assert(sizeof(struct path_option) == 44, "path option");
_Static_assert(__builtin_offsetof(struct path_option, subnet) == 12, "see above");

/* What goes between the Ethernet header of the underlay and the inner IP packet. */
struct outer_direct {
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct ethhdr inner;
} __attribute__((packed, aligned(2)));

struct outer_ask {
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct path_option path;
	struct ethhdr inner;
} __attribute__((packed, aligned(2)));

/* What goes before an inner ARP frame. */
struct outer_arp {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct path_option path;
} __attribute__((packed, aligned(2)));

/* Endpoint MTU = underlay MTU - this. */
#define ENCAPSULATION_MAX (sizeof(struct outer_direct) + OPTION_BYTES_MAX)
_Static_assert(sizeof(struct outer_ask) <= ENCAPSULATION_MAX, "the endpoint MTU leaves room for every option");

struct arp_packet {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed, aligned(2)));

_Static_assert(sizeof(struct arp_packet) == 28, "ARP for IPv4 on Ethernet");

struct ip6_header {
	__be32 version_class; /* and the flow's label */
	__be16 length;	      /* of what follows */
	__u8 next;
	__u8 hops;
	struct address source;
	struct address destination;
} __attribute__((packed, aligned(4)));

#define ICMP6 58
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136

/* Neighbour discovery (RFC 4861): what asks, and what answers. */
struct neighbour {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 flags;
	struct address target;
} __attribute__((packed, aligned(4)));

/* The link-layer address of who asks, or of the target. */
struct neighbour_option {
	__u8 type;
	__u8 length; /* in units of 8 bytes */
	__u8 mac[6];
} __attribute__((packed, aligned(2)));

/* What a request for a neighbour may carry, behind Ethernet. */
#define NEIGHBOUR_SIZE (sizeof(struct ip6_header) + sizeof(struct neighbour))
#define NEIGHBOUR_SIZE_MAX (NEIGHBOUR_SIZE + sizeof(struct neighbour_option))

/* The gateway of every subnet, seen from its endpoints. */
#define GATEWAY_MAC { 0x02, 0x4d, 0x67, 0x77, 0x00, 0x01 }

#endif
