/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths: what this host was told, and for how long it may believe it. */
#ifndef MEGREZ_PATH_H
#define MEGREZ_PATH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "packet.h"

/* An owner that leaves an ask unanswered for this long is not asked alone again. */
#define SUSPECT_NS (50 * 1000000ULL)

/* Copies the path to `about`; false when there is none. `path` stays valid for in-place updates of its times. */
static __always_inline struct path *path_read(const struct endpoint_key *about, struct path *copy)
{
	struct path *path = bpf_map_lookup_elem(&paths, about);

	if (!path)
		return NULL;
	*copy = *path;
	if (copy->key.vni != about->vni || !address_equal(&copy->key.ip, &about->ip))
		return NULL;
	return path;
}

/*
 * Takes an answer in: a lower generation never replaces a higher one while that may be believed. `checked`: a bouncer gave it, so the next
 * check is due a whole period from now.
 */
static __noinline enum verdict path_told(const struct config *config, const struct endpoint_key *about,
					 const struct mapping *answer, bool checked, __u64 now)
{
	struct path next = {
		.key = *about,
		.state = PATH_TOLD,
		.host = answer->host,
		.generation = answer->generation,
		.told_at = now,
		.asked_at = now,
		.checked_at = now,
	};
	struct path *old = bpf_map_lookup_elem(&paths, about);

	mac_copy(next.mac, answer->mac);
	if (old && old->state == PATH_TOLD && address_equal(&old->key.ip, &about->ip) && old->key.vni == about->vni) {
		if (old->generation > answer->generation && elapsed(old->told_at, now) < config->hard_lease_ns)
			return VERDICT_STALE;
		if (!checked)
			next.checked_at = old->checked_at;
	}
	if (bpf_map_update_elem(&paths, about, &next, BPF_ANY))
		return VERDICT_KERNEL;
	return CONTINUE;
}

/* Takes in that there is no such address: only against a question that is still open. */
static __noinline enum verdict path_none(const struct endpoint_key *about, __u64 now)
{
	struct path next = { .key = *about, .state = PATH_NONE, .told_at = now, .asked_at = now, .checked_at = now };
	struct path *old = bpf_map_lookup_elem(&paths, about);

	if (old && old->state == PATH_TOLD && old->asks == 0)
		return VERDICT_STALE;
	if (bpf_map_update_elem(&paths, about, &next, BPF_ANY))
		return VERDICT_KERNEL;
	return CONTINUE;
}

static __noinline int path_first_asked(const struct endpoint_key *about, __u64 now)
{
	struct path first = { .key = *about, .state = PATH_ASKED, .asked_at = now, .checked_at = now, .asks = 1 };

	return bpf_map_update_elem(&paths, about, &first, BPF_NOEXIST);
}

/* Remembers that a bouncer is asked now; returns how many asks, this one included, have had no answer. */
static __always_inline __u32 path_asked(const struct endpoint_key *about, __u64 now)
{
	struct path *path = bpf_map_lookup_elem(&paths, about);

	if (!path) {
		path_first_asked(about, now);
		return 1;
	}
	path->checked_at = now;
	if (path->asks == 0) {
		path->asked_at = now;
		path->asks = 1;
	} else if (elapsed(path->asked_at, now) > SUSPECT_NS) {
		path->asked_at = now;
		/* Stays, once it is high, but goes on alternating. */
		path->asks = path->asks < 255 ? path->asks + 1 : 254;
	}
	return path->asks;
}

#endif
