// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * For development clusters only: a veth transmits from native XDP only when its peer runs native XDP too. `megrez dev`
 * puts this on the underlay's end of a host whose bouncer is attached natively.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int pass(struct xdp_md *packet)
{
	(void)packet;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
