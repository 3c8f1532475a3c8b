/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time is an argument of every stage: read once per packet, from the coarse monotonic clock. */
#ifndef MEGREZ_CLOCK_H
#define MEGREZ_CLOCK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Another CPU may have written a time of the next tick already: then no time has passed. */
static __always_inline __u64 elapsed(__u64 then, __u64 now)
{
	return now > then ? now - then : 0;
}

#endif
