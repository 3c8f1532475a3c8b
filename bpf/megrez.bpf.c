// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The entries: each hook's program is its packet walk (endpoint.h, nic.h, bouncer.h) and one exit that counts. */
#include "bouncer.h"
#include "count.h"
#include "endpoint.h"
#include "nic.h"

/* Leaves the enums that no row holds in BTF, where packages/abi reads them. */
const struct {
	enum limit limit;
	enum program program;
	enum affinity affinity;
	enum refusal refusal;
} abi_enums SEC(".rodata");

/* tcx ingress of the host's side of every endpoint. */
SEC("tc")
int endpoint(struct __sk_buff *skb)
{
	struct outgoing out = { .now = bpf_ktime_get_coarse_ns(), .action = TC_ACT_SHOT };
	__u32 ifindex = skb->ifindex;
	bool again = skb->mark == AGAIN_MARK;
	__u32 bytes = skb->len;
	enum verdict verdict;

	out.again = again;
	if (again)
		skb->mark = 0;
	verdict = endpoint_packet(skb, &out);

	count(PROGRAM_ENDPOINT, verdict, out.about.vni, bytes);
	if (!again)
		count_sent(ifindex, bytes);
	return verdict < VERDICT_DROP ? out.action : TC_ACT_SHOT;
}

/* tcx ingress of the underlay's interface. */
SEC("tc")
int nic(struct __sk_buff *skb)
{
	struct incoming in = { .skb = skb, .now = bpf_ktime_get_coarse_ns(), .action = TC_ACT_SHOT };
	__u32 bytes = skb->len;
	enum verdict verdict = nic_packet(&in);

	count(PROGRAM_NIC, verdict, in.tunnel.vni, bytes);
	if (verdict == VERDICT_PASS)
		return TC_ACT_UNSPEC; /* the next program, then the stack */
	return verdict < VERDICT_DROP ? in.action : TC_ACT_SHOT;
}

/* XDP of the underlay's interface, where the host owns slots. */
SEC("xdp.frags")
int bouncer(struct xdp_md *ctx)
{
	__u32 bytes = bpf_xdp_get_buff_len(ctx);
	__u32 vni = 0;
	enum verdict verdict = bouncer_packet(ctx, bpf_ktime_get_coarse_ns(), &vni);

	count(PROGRAM_BOUNCER, verdict, vni, bytes);
	if (verdict == VERDICT_PASS)
		return XDP_PASS;
	return verdict < VERDICT_DROP ? XDP_TX : XDP_DROP;
}

/*
 * XDP there before `bouncer` and after it: the far end of a veth hears what XDP transmits only when it runs a program too,
 * and it follows a moment later.
 */
SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

/*
 * tcx ingress of the tunnel device whose socket makes GRO aggregate Geneve: what `nic` did not want ends here, and no
 * stranger's inner frame reaches the host's stack.
 */
SEC("tc")
int tunnel(struct __sk_buff *skb)
{
	count(PROGRAM_TUNNEL, VERDICT_FOREIGN, 0, skb->len);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
