/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which hosts are alive, told from packets alone: any packet of a host proves it, an ask that stays unanswered makes it
 * suspect. Nothing is sent for its own sake but a probe to a suspect owner, and no timer runs.
 */
#ifndef MEGREZ_LIFE_H
#define MEGREZ_LIFE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "clock.h"
#include "maps.h"

#define MS 1000000ULL

/*
 * Functions that are not static are verified once, whoever calls them, and so know nothing of their arguments: hence the
 * checks for NULL.
 */

/* An owner that leaves an ask unanswered for this long is not asked alone again. */
#define SUSPECT_NS (50 * MS)
/* A host that nothing was heard of for this long is asked for a sign of life, and given as long again. */
#define SILENT_NS (300 * MS)
/* Between two asks for it. */
#define PROBE_NS (100 * MS)

static __always_inline bool underlay_accepts(const struct address *address)
{
	struct prefix_key key = { .length = 128, .address = *address };

	return bpf_map_lookup_elem(&underlay, &key) != NULL;
}

__noinline int host_heard(const struct address *host, __u64 now)
{
	struct host_state first = { .heard_at = now };
	struct host_state *state;

	if (!host)
		return 0;
	state = bpf_map_lookup_elem(&hosts, host);
	if (!state)
		return bpf_map_update_elem(&hosts, host, &first, BPF_NOEXIST);
	if (state->heard_at != now)
		state->heard_at = now;
	return 0;
}

/*
 * A packet of `host` came: false when it is none of the underlay's, and not to be listened to. Whom this CPU heard last in
 * the same tick of the clock needs no second look.
 */
__noinline int hear(const struct address *host, __u64 now)
{
	__u32 zero = 0;
	struct heard *last = bpf_map_lookup_elem(&last_heard, &zero);

	if (!host)
		return false;
	if (last && last->at == now && address_equal(&last->host, host))
		return true;
	if (!underlay_accepts(host))
		return false;
	if (last) {
		last->host = *host;
		last->at = now;
	}
	host_heard(host, now);
	return true;
}

/* `host` was asked, directly or as an owner. */
__noinline int host_asked(const struct address *host, __u64 now)
{
	struct host_state first = { .asked_at = now };
	struct host_state *state;

	if (!host)
		return 0;
	state = bpf_map_lookup_elem(&hosts, host);
	if (!state)
		return bpf_map_update_elem(&hosts, host, &first, BPF_NOEXIST);
	/* Heard in this very tick of the clock: its answer would leave no trace either. */
	if (state->asked_at <= state->heard_at && now > state->heard_at)
		state->asked_at = now;
	return 0;
}

/* It was asked, and has had the time to answer. */
__noinline int host_suspect(const struct address *host, __u64 now)
{
	struct host_state *state;

	if (!host)
		return false;
	state = bpf_map_lookup_elem(&hosts, host);
	return state && state->asked_at > state->heard_at && elapsed(state->asked_at, now) > SUSPECT_NS;
}

/* Whether it is time to ask a silent or suspect host for a sign of life; remembers that it is asked. */
static __always_inline bool probe_due(struct host_state *state, __u64 now)
{
	if (elapsed(state->probed_at, now) < PROBE_NS)
		return false;
	state->probed_at = now;
	return true;
}

enum life {
	LIFE_ALIVE,
	LIFE_WAITING, /* silent, and asked a moment ago */
	LIFE_ASK,    /* ask the host itself with this packet */
	LIFE_SILENT, /* it was asked long enough: ask an owner where the endpoint is */
};

/* Of the host that a path leads to. */
__noinline int host_life(const struct address *host, __u64 now)
{
	struct host_state first = { .heard_at = now };
	struct host_state *state;

	if (!host)
		return LIFE_ALIVE;
	state = bpf_map_lookup_elem(&hosts, host);
	if (!state) {
		bpf_map_update_elem(&hosts, host, &first, BPF_NOEXIST);
		return LIFE_ALIVE;
	}
	if (elapsed(state->heard_at, now) < SILENT_NS)
		return LIFE_ALIVE;
	if (state->asked_at <= state->heard_at) {
		state->asked_at = now;
		state->probed_at = now;
		return LIFE_ASK;
	}
	if (elapsed(state->asked_at, now) >= SILENT_NS)
		return LIFE_SILENT;
	return probe_due(state, now) ? LIFE_ASK : LIFE_WAITING;
}

#endif
