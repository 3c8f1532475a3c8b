// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For tests: the slot of the VNI and address at the packet's start. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/slot.h"

SEC("xdp")
int slot(struct xdp_md *ctx)
{
	struct {
		__u32 vni;
		struct address address;
	} *asked = (void *)(long)ctx->data;

	if ((void *)(asked + 1) > (void *)(long)ctx->data_end)
		return -1;
	return slot_of(asked->vni, &asked->address);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
