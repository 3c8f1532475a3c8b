/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The bouncer's other question: which backend? Every bouncer of a service's subnet can answer it. */
#ifndef MEGREZ_SERVICE_H
#define MEGREZ_SERVICE_H

#include "encap.h"
#include "packet.h"

static __always_inline __u32 mix_address(__u32 hash, const struct address *address)
{
	return mix(mix(mix(mix(hash, address->word[0]), address->word[1]), address->word[2]), address->word[3]);
}

/* The same at every bouncer and for every flow table: which backend, or through which bouncer. */
static __always_inline __u32 flow_spread(const struct flow_key *flow)
{
	__u32 hash = mix_address(mix_address(flow->vni, &flow->source), &flow->destination);

	hash = mix(hash, (__u32)flow->source_port << 16 | flow->destination_port);
	hash = mix(hash, flow->protocol) * 0x85ebca6b;
	return hash ^ hash >> 13;
}

/* CONTINUE: `answer` is the flow's backend. VERDICT_NO_BACKEND: nobody; `answer->generation` says how to refuse. */
__noinline int service_choose(const struct flow_key *flow, struct backend *answer)
{
	struct backend_key key = {};
	struct service_port *port;
	struct backend *backend;
	__u32 hash, bucket;

	if (!flow || !answer)
		return VERDICT_KERNEL;
	*answer = (struct backend){ .generation = REFUSAL_TELL };
	key.service.vni = flow->vni;
	key.service.ip = flow->destination;
	key.service.port = flow->destination_port;
	key.service.protocol = flow->protocol;
	port = bpf_map_lookup_elem(&service_ports, &key.service);
	if (!port)
		return VERDICT_NO_BACKEND;
	answer->generation = port->refusal;
	if (!port->backends)
		return VERDICT_NO_BACKEND;
	if (port->affinity == AFFINITY_CLIENT_IP) {
		hash = mix_address(flow->vni, &flow->source) * 0x85ebca6b;
		hash ^= hash >> 13;
	} else {
		hash = flow_spread(flow);
	}
	bucket = hash % SERVICE_BUCKETS;
	/* The verifier does not know what a remainder is; the compiler must not know that it is checked in vain. */
	asm volatile("" : "+r"(bucket));
	if (bucket >= SERVICE_BUCKETS)
		return VERDICT_KERNEL;
	key.number = port->bucket[bucket];
	backend = bpf_map_lookup_elem(&backends, &key);
	if (!backend)
		return VERDICT_NO_BACKEND;
	*answer = *backend;
	return CONTINUE;
}

#endif
