// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * For development clusters only: the underlay as a switch that costs next to nothing. It is the tc ingress of each of its
 * ports. The last two bytes of a host's MAC address are its port's interface number, so nothing is looked up or learnt.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

/* As packages/dev/src/underlay.ts numbers them. */
enum { FIRST_PORT = 0x100, MAX_PORTS = 1024 };

/*
 * Ports whose frames go through the receive queue of the host's NIC, by interface number: its native XDP and its GRO are
 * there. Other hosts get theirs past it, in the same breath.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIRST_PORT + MAX_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} queued SEC(".maps");

/* A copy for each port but the frame's own; the first number that no port has is the end. */
static void flood(struct __sk_buff *frame)
{
	for (__u32 port = FIRST_PORT; port < FIRST_PORT + MAX_PORTS; port++)
		if (port != frame->ifindex && bpf_clone_redirect(frame, port, 0) == -EINVAL)
			return;
}

SEC("tc")
int switch_frame(struct __sk_buff *frame)
{
	const struct ethhdr *header = (void *)(long)frame->data;
	const __u32 *is_queued;
	__u32 port;

	if ((const void *)(header + 1) > (const void *)(long)frame->data_end)
		return TC_ACT_SHOT;
	if (header->h_dest[0] & 1) {
		flood(frame);
		return TC_ACT_SHOT;
	}
	port = header->h_dest[4] << 8 | header->h_dest[5];
	is_queued = bpf_map_lookup_elem(&queued, &port);
	if (is_queued && *is_queued)
		return bpf_redirect(port, 0);
	return bpf_redirect_peer(port, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
