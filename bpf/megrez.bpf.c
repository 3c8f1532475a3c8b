// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "maps.h"
SEC("tc") int endpoint(struct __sk_buff *skb) { return 2; }
SEC("tc") int nic(struct __sk_buff *skb) { return -1; }
SEC("xdp.frags") int bouncer(struct xdp_md *ctx) { return XDP_PASS; }
char license[] SEC("license") = "Dual BSD/GPL";
