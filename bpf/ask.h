/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding an address that this host does not know: from its own slots, or by asking their owner. */
#ifndef MEGREZ_ASK_H
#define MEGREZ_ASK_H

#include "cookie.h"
#include "encap.h"
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

/*
 * CONTINUE: ask `owner`. VERDICT_ARP_OWNED: this host held the answer itself, and it is a path now. Else the drop.
 */
static __noinline enum verdict find_owner(const struct config *config, const struct port *port,
					  const struct endpoint_key *about, struct owner *owner, __u64 now)
{
	struct slot_key key = { .vni = about->vni, .subnet = port->subnet };
	struct mapping *mapping = bpf_map_lookup_elem(&mappings, about);
	struct attachment *attachment;
	struct slot_owners *owners;
	struct holding *holding;
	__u32 zero = 0;
	__u32 asks;

	if (mapping) {
		enum verdict told = path_told(about, mapping, true, now);

		return told == CONTINUE ? VERDICT_ARP_OWNED : told;
	}
	key.slot = slot_of(about->vni, &about->ip);
	owners = bpf_map_lookup_elem(&slots, &key);
	if (!owners)
		return VERDICT_NO_OWNER;
	holding = bpf_map_lookup_elem(&holdings, &key);
	attachment = bpf_map_lookup_elem(&attached, &zero);
	if (holding && holding->state == HOLDING_SERVING && attachment && now < attachment->until)
		return VERDICT_UNKNOWN_ADDRESS;
	owner->epoch = owners->epoch;
	asks = path_asked(about, now);
	/* Every second unanswered ask goes to the other owner. */
	owner->host = (asks & 1) || address_is_zero(&owners->secondary) ? owners->primary : owners->secondary;
	if (address_equal(&owner->host, &config->self))
		owner->host = address_equal(&owners->primary, &config->self) ? owners->secondary : owners->primary;
	if (address_is_zero(&owner->host) || address_equal(&owner->host, &config->self))
		return VERDICT_NO_OWNER;
	return CONTINUE;
}

#endif
