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

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5])) == 0;
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__builtin_memcpy(to, from, 6);
}

#endif
