/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses are 16 bytes everywhere, so that IPv6 is the same code. */
#ifndef MEGREZ_ADDRESS_H
#define MEGREZ_ADDRESS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

static __always_inline struct address address_from_ip4(__be32 ip4)
{
	return (struct address){ .word = { 0, 0, bpf_htonl(0xffff), ip4 } };
}

static __always_inline __be32 address_to_ip4(const struct address *address)
{
	return address->word[3];
}

static __always_inline bool address_is_ip4(const struct address *a)
{
	return (a->word[0] | a->word[1] | (a->word[2] ^ bpf_htonl(0xffff))) == 0;
}

/* Of IPv6. */
static __always_inline bool address_is_multicast6(const struct address *a)
{
	return (a->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool address_is_link_local6(const struct address *a)
{
	return (a->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline bool address_equal(const struct address *a, const struct address *b)
{
	return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		(a->word[3] ^ b->word[3])) == 0;
}

static __always_inline bool address_is_zero(const struct address *a)
{
	return (a->word[0] | a->word[1] | a->word[2] | a->word[3]) == 0;
}

static __always_inline bool address_in(const struct address *a, const struct address *network,
				       const struct address *mask)
{
	return (((a->word[0] ^ network->word[0]) & mask->word[0]) | ((a->word[1] ^ network->word[1]) & mask->word[1]) |
		((a->word[2] ^ network->word[2]) & mask->word[2]) |
		((a->word[3] ^ network->word[3]) & mask->word[3])) == 0;
}

/* By halves: link-layer addresses lie on even addresses in every row, header and frame. */
static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__u16 *x = (__u16 *)to;
	const __u16 *y = (const __u16 *)from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
}

#endif
