// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "maps.h"

/* Leaves the enums that no row holds in BTF, where packages/abi reads them. */
const struct {
	enum limit limit;
	enum program program;
} abi_enums SEC(".rodata");

SEC("tc") int endpoint(struct __sk_buff *skb) { return 2; }
SEC("tc") int nic(struct __sk_buff *skb) { return -1; }
SEC("xdp.frags") int bouncer(struct xdp_md *ctx) { return XDP_PASS; }
char license[] SEC("license") = "Dual BSD/GPL";
