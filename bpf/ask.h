/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding an address that this host does not know: from its own slots, or by asking their owner. */
#ifndef MEGREZ_ASK_H
#define MEGREZ_ASK_H

#include "cookie.h"
#include "encap.h"
#include "outgoing.h"
#include "path.h"
#include "route.h"
#include "slot.h"

/* Generic cell rate algorithm: asks are due one interval apart, with a burst's tolerance. */
static __always_inline bool budget_allows(const struct config *config, __u32 ifindex, __u64 now)
{
	struct port_key key = { .ifindex = ifindex };
	struct budget *budget = bpf_map_lookup_elem(&budgets, &key);
	__u64 due;

	if (!budget)
		return false;
	due = budget->due;
	if (due < now)
		due = now;
	if (due > now + config->ask_burst_ns)
		return false;
	budget->due = due + config->ask_interval_ns;
	return true;
}

static __always_inline void fill_ask(struct path_option *option, const struct outgoing *out)
{
	const struct owner *owner = &out->owner;

	fill_path(option, OP_ASK);
	option->flags = bpf_htons(owner->flags);
	option->epoch = bpf_htonl(owner->epoch);
	option->subnet = bpf_htonl(owner->subnet);
	option->cookie = bpf_cpu_to_be64(cookie_make(out->config, &out->about, out->now));
	option->host = address_to_ip4(&out->config->self);
}

/* No verdict: the answer is at hand. */
#define KNOWN (VERDICT_COUNT + 1)

/* The slot row that knows most: of the address's subnet, or of the VPC's dividers. */
static __always_inline struct slot_owners *owners_of(const struct outgoing *out, struct slot_key *key)
{
	struct slot_owners *owners = NULL;

	key->subnet = out->routed ? route_of(&out->about) : out->port->subnet;
	if (key->subnet)
		owners = bpf_map_lookup_elem(&slots, key);
	if (!owners && out->routed) {
		key->subnet = 0;
		owners = bpf_map_lookup_elem(&slots, key);
	}
	return owners;
}

/* One owner is asked: the other one when it is this host itself, or suspect, or silent to the ask before. */
__noinline int choose_owner(const struct slot_owners *owners, const struct address *self, __u64 now,
			    struct owner *owner)
{
	const struct address *first, *second;

	if (!owners || !self || !owner)
		return VERDICT_NO_OWNER;
	first = owner->flags & ASK_TWIN ? &owners->secondary : &owners->primary;
	second = owner->flags & ASK_TWIN ? &owners->primary : &owners->secondary;
	owner->suspect = (struct address){};
	if (address_is_zero(first) || address_equal(first, self)) {
		owner->host = *second;
	} else if (address_is_zero(second) || address_equal(second, self) || !host_suspect(first, now)) {
		owner->host = *first;
	} else {
		owner->host = *second;
		owner->suspect = *first;
	}
	return address_is_zero(&owner->host) || address_equal(&owner->host, self) ? VERDICT_NO_OWNER : CONTINUE;
}

/* CONTINUE: ask `out->owner`, within the budget. KNOWN: this host holds the answer itself, in `known` now. Else the drop. */
static __noinline int find_owner(struct outgoing *out)
{
	struct owner *owner = &out->owner;
	struct slot_key key = { .vni = out->about.vni, .slot = slot_of(out->about.vni, &out->about.ip) };
	struct mapping *mapping = bpf_map_lookup_elem(&mappings, &out->about);
	struct slot_owners *owners;
	int verdict;

	if (mapping) {
		enum verdict told = path_told(out->config, &out->about, mapping, true, out->now);

		if (told != CONTINUE)
			return told;
		return path_read(&out->about, out->known) ? KNOWN : VERDICT_KERNEL;
	}
	owners = owners_of(out, &key);
	if (!owners)
		return VERDICT_NO_OWNER;
	if (may_deny(&key, out->now))
		return VERDICT_UNKNOWN_ADDRESS;
	/* Before anything is remembered: a scan must not push out the paths of others. */
	if (!budget_allows(out->config, out->skb->ifindex, out->now))
		return VERDICT_ASK_BUDGET;
	owner->subnet = key.subnet;
	owner->epoch = owners->epoch;
	/* Every second unanswered ask goes to the other owner. */
	owner->flags = path_asked(&out->about, out->now) & 1 ? 0 : ASK_TWIN;
	verdict = choose_owner(owners, &out->config->self, out->now, owner);
	if (verdict == CONTINUE)
		path_asks(&out->about, &owner->host, out->now);
	return verdict;
}

#endif
