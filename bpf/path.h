/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths: what this host was told, and for how long it may believe it. */
#ifndef MEGREZ_PATH_H
#define MEGREZ_PATH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "life.h"
#include "packet.h"

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

/* A path to be filled and written; the next one takes its place. */
static __always_inline struct path *path_new(const struct endpoint_key *about, enum path_state state, __u64 now)
{
	__u32 second = 1;
	struct path *path = bpf_map_lookup_elem(&path_copy, &second);

	if (!path)
		return NULL;
	__builtin_memset(path, 0, sizeof(*path));
	path->key = *about;
	path->state = state;
	path->told_at = now;
	path->asked_at = now;
	path->checked_at = now;
	path->live_at = now;
	return path;
}

/* Whoever was asked passed the question on, or there would be no answer. */
static __always_inline void owner_answered(const struct path *path, __u64 now)
{
	struct address owner = path->asked;

	if (path->asks && !address_is_zero(&owner))
		host_heard(&owner, now);
}

enum told_how {
	TOLD_CHECKED = 1, /* by a bouncer: the next check is due a whole period from now */
	TOLD_SERVICE = 2, /* the address is a service's */
	TOLD_BY_OWNER = 4, /* or by whom it passed the question on to: the owner that was asked lives */
};

/* Takes an answer in: a lower generation never replaces a higher one while that may be believed. */
__noinline int path_told(const struct config *config, const struct endpoint_key *about, const struct mapping *answer,
			 __u32 how, __u64 now)
{
	struct path *next, *old;

	if (!config || !about || !answer)
		return VERDICT_KERNEL;
	next = path_new(about, how & TOLD_SERVICE ? PATH_SERVICE : PATH_TOLD, now);
	if (!next)
		return VERDICT_KERNEL;
	next->host = answer->host;
	next->generation = answer->generation;
	mac_copy(next->mac, answer->mac);
	old = bpf_map_lookup_elem(&paths, about);
	if (old && address_equal(&old->key.ip, &about->ip) && old->key.vni == about->vni) {
		/* It answered, even if it knew less than this host. */
		if (how & TOLD_BY_OWNER)
			owner_answered(old, now);
		if (old->generation > answer->generation && elapsed(old->told_at, now) < config->hard_lease_ns)
			return VERDICT_STALE;
		if (!(how & TOLD_CHECKED) && old->state == PATH_TOLD)
			next->checked_at = old->checked_at;
		if (!(how & TOLD_BY_OWNER)) {
			next->asked = old->asked;
			next->asks = old->asks;
		}
	}
	return bpf_map_update_elem(&paths, about, next, BPF_ANY) ? VERDICT_KERNEL : CONTINUE;
}

/* Takes in that there is no such address: only against a question that is still open. */
__noinline int path_none(const struct endpoint_key *about, __u64 now)
{
	struct path *next, *old;

	if (!about)
		return VERDICT_KERNEL;
	next = path_new(about, PATH_NONE, now);
	if (!next)
		return VERDICT_KERNEL;
	old = bpf_map_lookup_elem(&paths, about);
	if (old && (old->state == PATH_TOLD || old->state == PATH_SERVICE) && old->asks == 0)
		return VERDICT_STALE;
	if (old)
		owner_answered(old, now);
	return bpf_map_update_elem(&paths, about, next, BPF_ANY) ? VERDICT_KERNEL : CONTINUE;
}

__noinline int path_first_asked(const struct endpoint_key *about, __u64 now)
{
	struct path *first;

	if (!about)
		return 0;
	first = path_new(about, PATH_ASKED, now);
	if (!first)
		return 0;
	first->asks = 1;
	return bpf_map_update_elem(&paths, about, first, BPF_NOEXIST);
}

/*
 * The endpoint left the host that says so: the path is forgotten, but not its generation, so that an answer from before
 * does not bring it back.
 */
static __always_inline enum verdict path_gone(const struct endpoint_key *about, const struct address *host)
{
	struct path *path = bpf_map_lookup_elem(&paths, about);

	if (!path || path->state != PATH_TOLD || !address_equal(&path->host, host))
		return VERDICT_STALE;
	path->state = PATH_ASKED;
	path->asks = 0;
	return VERDICT_TOLD_GONE;
}

/* Which owner is asked, so that its answer, whoever gives it, counts as a sign of its life. */
static __always_inline void path_asks(const struct endpoint_key *about, const struct address *owner, __u64 now)
{
	struct path *path = bpf_map_lookup_elem(&paths, about);

	if (path)
		path->asked = *owner;
	host_asked(owner, now);
}

/* A bouncer gave a flow its backend: `about` is a service. */
__noinline int path_service(const struct endpoint_key *about, __u64 now)
{
	struct path *path;

	if (!about)
		return 0;
	path = bpf_map_lookup_elem(&paths, about);
	if (!path) {
		path = path_new(about, PATH_SERVICE, now);
		return path ? bpf_map_update_elem(&paths, about, path, BPF_NOEXIST) : 0;
	}
	owner_answered(path, now);
	path->state = PATH_SERVICE;
	path->told_at = now;
	path->asks = 0;
	return 0;
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
