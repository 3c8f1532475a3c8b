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

static __always_inline void fill_ask(struct path_option *option, const struct config *config,
				     const struct outgoing *out)
{
	const struct owner *owner = &out->owner;

	fill_path(option, OP_ASK);
	option->flags = bpf_htons(owner->flags);
	option->epoch = bpf_htonl(owner->epoch);
	option->subnet = bpf_htonl(owner->subnet);
	option->cookie = bpf_cpu_to_be64(cookie_make(config, &out->about, out->now));
	option->host = address_to_ip4(&config->self);
}

/* No verdict: the answer is at hand. */
#define KNOWN (VERDICT_COUNT + 1)
#define SERVED (VERDICT_COUNT + 2) /* the address is a service, and this host one of its bouncers */

/*
 * The slot row that knows most: of the address's subnet, or of the VPC's dividers. `deny`: a holder of the slot may call
 * the address unknown, for a divider does not know what is in a subnet.
 */
static __always_inline struct slot_owners *owners_of(const struct port *port, struct outgoing *out,
						     struct slot_key *key, bool *deny)
{
	struct slot_owners *owners = NULL;

	key->subnet = out->routed ? route_of(&out->about) : port->subnet;
	key->slot = slot_of(out->about.vni, &out->about.ip);
	/* Any bouncer knows a service, and its flows are spread over all of them; one that does not knows that it is gone. */
	if (out->service && bpf_map_lookup_elem(&holdings, key))
		out->service = false;
	*deny = !out->service;
	if (out->service)
		key->slot = out->spread % SLOT_COUNT;
	if (key->subnet)
		owners = bpf_map_lookup_elem(&slots, key);
	if (owners || !out->routed)
		return owners;
	*deny = *deny && !key->subnet;
	key->subnet = 0;
	key->slot = slot_of(out->about.vni, &out->about.ip);
	return bpf_map_lookup_elem(&slots, key);
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

/*
 * CONTINUE: ask `out->owner`, within the budget. KNOWN: this host holds the answer itself, in known_path() now. SERVED.
 * Else the drop.
 */
__noinline int find_owner(struct __sk_buff *skb, const struct config *config, const struct port *port,
			  struct outgoing *out)
{
	struct slot_owners *owners;
	struct mapping *mapping;
	struct slot_key key = {};
	struct path *known = known_path();
	bool deny, doubtful;
	int verdict;

	if (!config || !port || !out || !known)
		return VERDICT_KERNEL;
	key.vni = out->about.vni;
	mapping = bpf_map_lookup_elem(&mappings, &out->about);
	/* A path that its host called gone was this row's own word: the other owner may know better. */
	doubtful = mapping && path_read(&out->about, known) && known->state == PATH_ASKED &&
		   known->generation >= mapping->generation;
	if (mapping && !doubtful) {
		verdict = path_told(config, &out->about, mapping, TOLD_CHECKED | TOLD_BY_OWNER, out->now);
		if (verdict != CONTINUE)
			return verdict;
		return path_read(&out->about, known) ? KNOWN : VERDICT_KERNEL;
	}
	if (bpf_map_lookup_elem(&services, &out->about))
		return SERVED;
	owners = owners_of(port, out, &key, &deny);
	if (!owners)
		return VERDICT_NO_OWNER;
	if (deny && !mapping && may_deny(&key, out->now))
		return VERDICT_UNKNOWN_ADDRESS;
	/* Before anything is remembered: a scan must not push out the paths of others. */
	if (!budget_allows(config, skb->ifindex, out->now))
		return VERDICT_ASK_BUDGET;
	out->owner.subnet = key.subnet;
	out->owner.epoch = owners->epoch;
	/* Every second unanswered ask goes to the other owner. */
	out->owner.flags = path_asked(&out->about, out->now) & 1 ? 0 : ASK_TWIN;
	if (out->service)
		out->owner.flags |= OPTION_SERVICE;
	verdict = choose_owner(owners, &config->self, out->now, &out->owner);
	if (verdict == CONTINUE)
		path_asks(&out->about, &out->owner.host, out->now);
	return verdict;
}

#endif
