/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How often a host is told about an address without having asked a bouncer. */
#ifndef MEGREZ_NOTICE_H
#define MEGREZ_NOTICE_H

#include <stdbool.h>

#include "clock.h"
#include "life.h"
#include "maps.h"

/* At most one notice per asker and address in NOTICE_INTERVAL_MS. */
__noinline int notice_due(const struct address *asker, const struct endpoint_key *about, __u64 now)
{
	struct notice first = { .sent_at = now };
	struct notice_key key;
	struct notice *last;

	if (!asker || !about)
		return false;
	key.asker = *asker;
	key.about = *about;
	last = bpf_map_lookup_elem(&notices, &key);
	if (last) {
		if (elapsed(last->sent_at, now) < NOTICE_INTERVAL_MS * MS)
			return false;
		last->sent_at = now;
		return true;
	}
	bpf_map_update_elem(&notices, &key, &first, BPF_ANY);
	return true;
}

#endif
