/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding an address that this host does not know: from its own slots, or by asking their owner. */
#ifndef MEGREZ_ASK_H
#define MEGREZ_ASK_H

#include "cookie.h"
#include "encap.h"
#include "outgoing.h"
#include "path.h"
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

static __always_inline void fill_ask(struct path_option *option, const struct config *config,
				     const struct endpoint_key *about, __u32 subnet, __u32 epoch, __u64 now)
{
	fill_path(option, OP_ASK);
	option->epoch = bpf_htonl(epoch);
	option->subnet = bpf_htonl(subnet);
	option->cookie = bpf_cpu_to_be64(cookie_make(config, about, now));
	option->host = address_to_ip4(&config->self);
}

/* Where to ask. */
struct owner {
	struct address host;
	__u32 epoch;
};

/* No verdict: the answer is at hand. */
#define KNOWN (VERDICT_COUNT + 1)

/* CONTINUE: ask `owner`, within the budget. KNOWN: this host holds the answer itself, in `known` now. Else the drop. */
static __noinline int find_owner(struct outgoing *out, struct owner *owner)
{
	struct slot_key key = { .vni = out->about.vni, .subnet = out->port->subnet };
	struct mapping *mapping = bpf_map_lookup_elem(&mappings, &out->about);
	struct slot_owners *owners;
	__u32 asks;

	if (mapping) {
		enum verdict told = path_told(out->config, &out->about, mapping, true, out->now);

		if (told != CONTINUE)
			return told;
		return path_read(&out->about, out->known) ? KNOWN : VERDICT_KERNEL;
	}
	key.slot = slot_of(out->about.vni, &out->about.ip);
	owners = bpf_map_lookup_elem(&slots, &key);
	if (!owners)
		return VERDICT_NO_OWNER;
	if (may_deny(&key, out->now))
		return VERDICT_UNKNOWN_ADDRESS;
	/* Before anything is remembered: a scan must not push out the paths of others. */
	if (!budget_allows(out->config, out->skb->ifindex, out->now))
		return VERDICT_ASK_BUDGET;
	owner->epoch = owners->epoch;
	asks = path_asked(&out->about, out->now);
	/* Every second unanswered ask goes to the other owner. */
	owner->host = (asks & 1) || address_is_zero(&owners->secondary) ? owners->primary : owners->secondary;
	if (address_equal(&owner->host, &out->config->self))
		owner->host = other_owner(owners, &out->config->self);
	return address_is_zero(&owner->host) ? VERDICT_NO_OWNER : CONTINUE;
}

#endif
