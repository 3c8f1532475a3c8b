/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors to a tenant, from its gateway: what a router would say of a packet that cannot go where it should. The
 * packet itself becomes the error. tc only.
 */
#ifndef MEGREZ_ERROR_H
#define MEGREZ_ERROR_H

#include "arp.h"
#include "packet.h"
#include "view.h"

/* Errors to one endpoint are due one interval apart; a burst's worth may come at once. */
#define ERROR_INTERVAL_NS (10 * 1000000ULL)
#define ERROR_BURST_NS (200 * 1000000ULL)

/*
 * What the error quotes: the longest IPv4 header and the transport's first 8 bytes; or, of a shorter packet, the headers
 * of IPv4 and TCP, whose checksum may be still to come, so that the receiver looks for its field; or the least.
 */
#define QUOTE_MAX 68
#define QUOTE_TCP 40
#define QUOTE_MIN 28

/* Of IPv6: its header, and TCP's or less. */
#define QUOTE6_MAX 60
#define QUOTE6_MIN 48

struct error {
	enum verdict verdict; /* when the endpoint was told */
	enum verdict refused; /* when it may not be told */
	__u16 mtu;
	__u8 type;
	__u8 code;
	__u8 type6; /* of ICMPv6 */
	__u8 code6;
};

#define ERROR_UNREACHABLE                                                                                            \
	{ .verdict = VERDICT_UNREACHABLE, .refused = VERDICT_UNKNOWN_ADDRESS, .type = 3, .code = 1, .type6 = 1, .code6 = 3 }
#define ERROR_NO_BACKEND                                                                                             \
	{ .verdict = VERDICT_PORT_UNREACHABLE, .refused = VERDICT_NO_BACKEND, .type = 3, .code = 3, .type6 = 1, .code6 = 4 }
#define ERROR_EXPIRED { .verdict = VERDICT_TIME_EXCEEDED, .refused = VERDICT_EXPIRED, .type = 11, .type6 = 3 }
#define ERROR_TOO_BIG { .verdict = VERDICT_FRAGMENT_NEEDED, .refused = VERDICT_TOO_BIG, .type = 3, .code = 4, .type6 = 2 }

struct icmp_error {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 unused;
	__be16 mtu;
} __attribute__((packed, aligned(2)));

#define ERROR_ROOM (sizeof(struct iphdr) + sizeof(struct icmp_error))

__noinline int error_allowed(__u32 ifindex, __u64 now)
{
	struct port_key key = { .ifindex = ifindex };
	struct budget *budget = bpf_map_lookup_elem(&budgets, &key);
	__u64 due;

	if (!budget)
		return false;
	due = budget->error_due;
	if (due < now)
		due = now;
	if (due > now + ERROR_BURST_NS)
		return false;
	budget->error_due = due + ERROR_INTERVAL_NS;
	return true;
}

/* RFC 1122: no error about an error, nor about a fragment that is not the first. */
__noinline int may_cause_error(struct __sk_buff *skb, __u32 protocol)
{
	struct iphdr ip;
	__u8 type;

	if (protocol == bpf_htons(ETH_P_IPV6)) {
		/* The next header, and ICMPv6's type behind it: below 128 are the errors. */
		if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + 6, &type, 1))
			return false;
		return type != ICMP6 ||
		       (!bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + sizeof(struct ip6_header), &type, 1) &&
			type >= 128);
	}
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &ip, sizeof(ip)) || (ip.frag_off & bpf_htons(0x1fff)))
		return false;
	if (ip.protocol != IPPROTO_ICMP)
		return true;
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + ip.ihl * 4, &type, 1))
		return false;
	/* Echo and its reply, timestamps and the like; all other types are errors or of routers. */
	return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* Copies what is quoted of the frame; the number of bytes, 0 when it is too short. */
static __always_inline __u32 load_quote(struct __sk_buff *skb, __u8 *quote)
{
	if (!bpf_skb_load_bytes(skb, sizeof(struct ethhdr), quote, QUOTE_MAX))
		return QUOTE_MAX;
	if (!bpf_skb_load_bytes(skb, sizeof(struct ethhdr), quote, QUOTE_TCP))
		return QUOTE_TCP;
	return bpf_skb_load_bytes(skb, sizeof(struct ethhdr), quote, QUOTE_MIN) ? 0 : QUOTE_MIN;
}

/*
 * Room for the error's head before the quote. A packet that is long enough keeps its length, or the error about one that
 * fills the endpoint's MTU would not get back; what is behind the quote stays, beyond the length that the header states.
 */
static __always_inline bool make_error_room(struct __sk_buff *skb, const __u8 *quote, __u32 quoted)
{
	if (quoted == QUOTE_MAX && skb->len >= sizeof(struct ethhdr) + ERROR_ROOM + QUOTE_MAX)
		return !bpf_skb_store_bytes(skb, sizeof(struct ethhdr) + ERROR_ROOM, quote, QUOTE_MAX, BPF_F_RECOMPUTE_CSUM);
	return !bpf_skb_adjust_room(skb, ERROR_ROOM, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

/* `skb`, a bare IPv4 frame of the endpoint at `port`, becomes the error. */
__noinline int error_ip4(struct __sk_buff *skb, const struct port *port, const struct error *error)
{
	struct icmp_error icmp = {};
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_ICMP };
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	struct quote *quote;
	struct ethhdr *eth;
	struct view view;
	__u32 quoted, zero = 0;
	__s64 sum;

	quote = bpf_map_lookup_elem(&quote_copy, &zero);
	if (!port || !error || !quote)
		return VERDICT_KERNEL;
	__builtin_memset(quote, 0, sizeof(*quote));
	quoted = load_quote(skb, quote->bytes);
	if (!quoted)
		return error->refused;
	icmp.type = error->type;
	icmp.code = error->code;
	icmp.mtu = bpf_htons(error->mtu);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)quote->bytes, QUOTE_MAX, 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&icmp, sizeof(icmp), sum);
	icmp.checksum = fold(sum);
	ip.tot_len = bpf_htons(ERROR_ROOM + quoted);
	ip.saddr = address_to_ip4(&port->ip4.gateway);
	ip.daddr = address_to_ip4(&port->ip4.ip);
	ip.check = ip4_checksum(&ip);
	if (!make_error_room(skb, quote->bytes, quoted) || bpf_skb_store_bytes(skb, sizeof(*eth), &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) ||
	    bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(ip), &icmp, sizeof(icmp), BPF_F_RECOMPUTE_CSUM))
		return VERDICT_KERNEL;
	view = view_of_skb(skb);
	eth = at(&view, 0, sizeof(*eth));
	if (!eth)
		return VERDICT_KERNEL;
	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, gateway_mac);
	return error->verdict;
}

struct error6_head {
	struct ip6_header ip;
	struct {
		__u8 type;
		__u8 code;
		__be16 checksum;
		__be32 mtu;
	} icmp;
} __attribute__((packed, aligned(2)));

/* The sum of what ICMPv6 sums beside its message and the addresses: length and next header. */
static __always_inline __s64 pseudo_sum(__u32 length)
{
	return bpf_htons(length) + bpf_htons(ICMP6);
}

/* The same for IPv6; the room is as much larger as the header is. */
__noinline int error_ip6(struct __sk_buff *skb, const struct port *port, const struct error *error)
{
	static const __u8 gateway_mac[6] = GATEWAY_MAC;
	struct error6_head head = {};
	struct quote *quote;
	struct ethhdr *eth;
	struct view view;
	__u32 quoted, zero = 0;
	bool roomy;
	__s64 sum;

	quote = bpf_map_lookup_elem(&quote_copy, &zero);
	if (!port || !error || !quote)
		return VERDICT_KERNEL;
	__builtin_memset(quote, 0, sizeof(*quote));
	quoted = QUOTE6_MAX;
	if (bpf_skb_load_bytes(skb, sizeof(*eth), quote->bytes, QUOTE6_MAX)) {
		quoted = QUOTE6_MIN;
		if (bpf_skb_load_bytes(skb, sizeof(*eth), quote->bytes, QUOTE6_MIN))
			return error->refused;
	}
	head.ip.version_class = bpf_htonl(0x60000000);
	head.ip.length = bpf_htons(sizeof(head.icmp) + quoted);
	head.ip.next = ICMP6;
	head.ip.hops = 64;
	head.ip.source = port->ip6.gateway;
	head.ip.destination = port->ip6.ip;
	head.icmp.type = error->type6;
	head.icmp.code = error->code6;
	head.icmp.mtu = bpf_htonl(error->mtu);
	sum = pseudo_sum(sizeof(head.icmp) + quoted);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)quote->bytes, QUOTE6_MAX, sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)((__u8 *)&head + 8), sizeof(head) - 8, sum);
	head.icmp.checksum = fold(sum);
	/* As with IPv4, a packet that is long enough keeps its length. */
	roomy = quoted == QUOTE6_MAX && skb->len >= sizeof(*eth) + sizeof(head) + QUOTE6_MAX;
	if (roomy ? bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(head), quote->bytes, QUOTE6_MAX,
					  BPF_F_RECOMPUTE_CSUM) :
		    bpf_skb_adjust_room(skb, sizeof(head), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return VERDICT_KERNEL;
	if (bpf_skb_store_bytes(skb, sizeof(*eth), &head, sizeof(head), BPF_F_RECOMPUTE_CSUM))
		return VERDICT_KERNEL;
	view = view_of_skb(skb);
	eth = at(&view, 0, sizeof(*eth));
	if (!eth)
		return VERDICT_KERNEL;
	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, gateway_mac);
	return error->verdict;
}

/* Tells the endpoint at `port`, whose interface is `ifindex`, about its own packet, which `skb` is. */
static __always_inline enum verdict tell_error(struct __sk_buff *skb, const struct port *port, __u32 ifindex,
					       __be16 protocol, __u64 now, const struct error *error, int *action)
{
	int verdict;

	if (!may_cause_error(skb, protocol) || !error_allowed(ifindex, now))
		return error->refused;
	if (protocol == bpf_htons(ETH_P_IPV6))
		verdict = error_ip6(skb, port, error);
	else
		verdict = error_ip4(skb, port, error);
	if (verdict == (int)error->verdict)
		*action = bpf_redirect(ifindex, 0);
	return verdict;
}

#endif
