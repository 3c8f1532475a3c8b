// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For tests: hands every frame that reaches an interface to user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} captured SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[2048]);
} scratch SEC(".maps");

SEC("xdp")
int capture(struct xdp_md *ctx)
{
	__u64 length = bpf_xdp_get_buff_len(ctx);
	__u32 zero = 0;
	__u8 *bytes = bpf_map_lookup_elem(&scratch, &zero);

	if (!bytes || length > 2047)
		return XDP_PASS;
	/* Keeps clang from moving the check behind the use, where the verifier does not see it. */
	asm volatile("" : "+r"(length));
	length &= 2047;
	if (length == 0)
		return XDP_PASS;
	if (!bpf_xdp_load_bytes(ctx, 0, bytes, length))
		bpf_ringbuf_output(&captured, bytes, length, 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
