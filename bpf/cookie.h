/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Proof that an answer was asked for: SipHash-2-4 (Aumasson, Bernstein) of what was asked and when, under a secret
 * that never leaves the host. Nothing is stored per question.
 */
#ifndef MEGREZ_COOKIE_H
#define MEGREZ_COOKIE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

struct sip {
	__u64 a, b, c, d;
};

static __always_inline __u64 rotate(__u64 value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static __always_inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->b = rotate(s->b, 13) ^ s->a;
	s->a = rotate(s->a, 32);
	s->c += s->d;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static __always_inline void sip_word(struct sip *s, __u64 word)
{
	s->d ^= word;
	sip_round(s);
	sip_round(s);
	s->a ^= word;
}

__noinline __u64 cookie_at(const struct config *config, const struct endpoint_key *about, __u64 window)
{
	struct sip s;

	if (!config || !about)
		return 0;
	s.a = config->secret[0] ^ 0x736f6d6570736575ULL;
	s.b = config->secret[1] ^ 0x646f72616e646f6dULL;
	s.c = config->secret[0] ^ 0x6c7967656e657261ULL;
	s.d = config->secret[1] ^ 0x7465646279746573ULL;
	sip_word(&s, (__u64)about->ip.word[0] << 32 | about->ip.word[1]);
	sip_word(&s, (__u64)about->ip.word[2] << 32 | about->ip.word[3]);
	sip_word(&s, window << 24 | about->vni);
	s.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

static __always_inline __u64 cookie_make(const struct config *config, const struct endpoint_key *about, __u64 now)
{
	return cookie_at(config, about, now >> COOKIE_WINDOW_SHIFT);
}

static __always_inline bool cookie_holds(const struct config *config, const struct endpoint_key *about, __u64 now,
					 __u64 cookie)
{
	__u64 window = now >> COOKIE_WINDOW_SHIFT;

	return cookie == cookie_at(config, about, window) || cookie == cookie_at(config, about, window - 1);
}

#endif
