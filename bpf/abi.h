/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the datapath and its users share: rows of every map, verdicts, limits. The only definition: the row codecs of
 * packages/abi are generated from the BTF this file leaves in the object.
 *
 * Integers are in host order unless their type says __be. Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef MEGREZ_ABI_H
#define MEGREZ_ABI_H

#include <linux/types.h>

#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"

enum limit {
	PORTS_MAX = 16384,	  /* endpoints with an interface on one host */
	ENDPOINTS_MAX = 32768,	  /* local endpoints and tombstones of one host */
	MAPPINGS_MAX = 1 << 20,	  /* endpoints of the slots one host owns */
	PATHS_MAX = 1 << 16,	  /* answers one host remembers */
	SLOTS_MAX = 1 << 18,	  /* slot rows one host uses: 1,024 tables */
	ROUTES_MAX = 1 << 16,	  /* prefixes of the subnets one host knows */
	TOMBSTONES_MAX = 16384,	  /* endpoints that left one host a short while ago */
	HOSTS_MAX = 8192,	  /* hosts one host talks with */
	NETWORKS_MAX = 8192,	  /* VNIs known on one host */
	SERVICES_MAX = 8192,	  /* service addresses of the subnets of which one host owns slots */
	SERVICE_PORTS_MAX = 16384,
	BACKENDS_MAX = 1 << 17,
	FLOWS_MAX = 1 << 17,	  /* established flows to services one host translates */
	YOUNG_FLOWS_MAX = 1 << 16, /* those that had no answer yet, and those without states */
	FLOWS_PER_PORT = 1 << 14, /* established flows of one endpoint */
	FLOW_ESTABLISHED_S = 7200, /* a flow that is seen no more is forgotten */
	FLOW_CLOSING_S = 60,
	SERVICE_BUCKETS = 1021,
	NOTICES_MAX = 16384,	  /* notices whose rate is watched */
	DROPS_MAX = 16384,	  /* (VNI, verdict) pairs counted */
	UNDERLAY_PREFIXES_MAX = 256,
	SLOT_COUNT = 256,
	HOPS_MAX = 4,		  /* times one packet may be passed on */
	OPTION_BYTES_MAX = 64,	  /* Geneve options of one packet of ours */
	SUBNET_NUMBER_MAX = 0xffffff, /* see struct path_option: keeps GRO from reading an option as a frame */
	NOTICE_INTERVAL_MS = 10,
	COOKIE_WINDOW_SHIFT = 31, /* a cookie is good for one to two windows of 2^31 ns */
};

/* IPv6, or IPv4-mapped IPv6. */
struct address {
	__be32 word[4];
};

enum program {
	PROGRAM_ENDPOINT,
	PROGRAM_NIC,
	PROGRAM_BOUNCER,
	PROGRAM_TUNNEL, /* behind the socket that GRO needs */
	PROGRAM_COUNT,
};

/*
 * What became of a packet: one name for C, metrics, CLI and tests. Up to VERDICT_DROP the packet went where it should;
 * from there on it was dropped for the reason named.
 */
enum verdict {
	VERDICT_PASS,		 /* not ours: left to the host's stack or to the next program */
	VERDICT_DIRECT,		 /* sent to the destination's host */
	VERDICT_DIRECT_ASK,	 /* the same, asking it to renew the lease */
	VERDICT_LOCAL,		 /* delivered on the same host */
	VERDICT_ASK_ARP,	 /* ARP request sent to a bouncer */
	VERDICT_ASK_DATA,	 /* data sent through a bouncer, asking */
	VERDICT_ARP_GATEWAY,	 /* ARP for the gateway answered on the spot */
	VERDICT_ARP_LOCAL,	 /* ARP for an endpoint of the same host answered on the spot */
	VERDICT_ARP_PATH,	 /* ARP answered from a known path */
	VERDICT_ARP_OWNED,	 /* ARP answered from this host's own slot */
	VERDICT_PING_GATEWAY,	 /* ping of the gateway answered on the spot */
	VERDICT_DELIVERED,	 /* delivered to a local endpoint */
	VERDICT_DELIVERED_TOLD,	 /* the same, and its asker was told */
	VERDICT_ANSWERED,	 /* bouncer: ARP request turned into its reply */
	VERDICT_ANSWERED_NONE,	 /* bouncer: the asker was told that there is no such address */
	VERDICT_FORWARDED,	 /* passed on to the destination's host, or to who may know it */
	VERDICT_FORWARDED_MOVED, /* passed on to where the endpoint moved */
	VERDICT_ANSWERED_GONE,	 /* the sender's host was told that the endpoint left */
	VERDICT_ANSWERED_ECHO,	 /* a probe of this host's datapath answered */
	VERDICT_PINNED,		 /* bouncer: the asker was told which backend the flow has */
	VERDICT_TOLD,		 /* a notice was learned from */
	VERDICT_TOLD_ARP,	 /* an ARP reply was learned from and delivered */
	VERDICT_TOLD_NONE,	 /* learned that there is no such address */
	VERDICT_TOLD_GONE,	 /* learned that the endpoint left its host: the path is forgotten */
	VERDICT_TOLD_ECHO,	 /* learned that a host is alive */
	VERDICT_TOLD_SERVICE,	 /* learned what a service's flow needs: its packet sets out again */
	VERDICT_PING_SERVICE,	 /* ping of a service's address answered on the spot */
	VERDICT_UNREACHABLE,	 /* the endpoint was told by ICMP that there is no such address */
	VERDICT_FRAGMENT_NEEDED, /* the endpoint was told by ICMP what size fits */
	VERDICT_PORT_UNREACHABLE, /* the endpoint was told by ICMP that no backend is there */
	VERDICT_TIME_EXCEEDED,	 /* the endpoint was told by ICMP that a packet's hops are used up */

	VERDICT_DROP,		 /* first of the drops; itself never given */
	VERDICT_NO_PORT,	 /* from an interface without a row */
	VERDICT_MALFORMED,	 /* truncated, or headers that contradict each other */
	VERDICT_VLAN,		 /* tagged frame */
	VERDICT_ETHERTYPE,	 /* neither IPv4 nor ARP */
	VERDICT_SPOOFED_MAC,
	VERDICT_SPOOFED_IP,
	VERDICT_SPOOFED_ARP,	 /* ARP sender is not the endpoint */
	VERDICT_ARP_SELF,	 /* own address: duplicate address detection or an announcement */
	VERDICT_ARP_REPLY,	 /* unasked ARP reply of an endpoint */
	VERDICT_BROADCAST,
	VERDICT_MULTICAST,
	VERDICT_TO_SELF,	 /* from an endpoint to its own address */
	VERDICT_TO_GATEWAY,	 /* to the gateway, and no ping */
	VERDICT_NO_ROUTE,	 /* ARP for an address outside the subnet */
	VERDICT_TOO_BIG,	 /* larger than the endpoint's MTU, and told so often enough */
	VERDICT_EXPIRED,	 /* its hops are used up, and told so often enough */
	VERDICT_UNKNOWN_ADDRESS, /* no endpoint has this address */
	VERDICT_ASK_BUDGET,	 /* the endpoint asks too often */
	VERDICT_NO_OWNER,	 /* nobody known owns the slot */
	VERDICT_NO_NEXT_HOP,	 /* the owner's link address is not known yet */
	VERDICT_NO_BACKEND,	 /* no backend, and told so often enough, or never */
	VERDICT_SERVICE_PROTOCOL, /* to a service, and neither TCP nor UDP nor a ping */
	VERDICT_SERVICE_FRAGMENT, /* to a service, and not the whole datagram */
	VERDICT_FORGED_SOURCE,	 /* outer source outside the underlay prefixes */
	VERDICT_FORGED_HOST,	 /* asker is not the outer source */
	VERDICT_FORGED_COOKIE,	 /* an answer nobody asked for */
	VERDICT_STALE,		 /* an answer older than what is known */
	VERDICT_BAD_OPTION,	 /* options cut short, too many, or of absurd length */
	VERDICT_UNKNOWN_OPTION,	 /* critical, and not of this version */
	VERDICT_UNKNOWN_OP,
	VERDICT_HOPS,		 /* passed on too often */
	VERDICT_NOT_HOLDER,	 /* asked about a slot this host does not hold */
	VERDICT_NOT_HERE,	 /* no such endpoint on this host */
	VERDICT_FOREIGN,	 /* a tunnel packet of nobody here, that the stack took */
	VERDICT_KERNEL,		 /* a kernel helper refused */
	VERDICT_COUNT,
};

/* `endpoint` finds here whose interface a packet came from. */
struct port_key {
	__u32 ifindex;
};

/* An endpoint's address of one family, and the prefix it is in. All zero: none of this family. */
struct reach {
	struct address ip;
	struct address gateway;
	struct address network;
	struct address mask;	/* of `network`: ones over the prefix */
};

struct port {
	__u32 vni;
	__u32 subnet;
	struct reach ip4;
	struct reach ip6;
	__u64 generation;
	__u8 mac[6];
	__u16 mtu;
};

struct endpoint_key {
	__u32 vni;
	struct address ip;
};

enum endpoint_flag {
	ENDPOINT_VETH = 1, /* the interface has a peer to deliver into; else it is a tap */
};

/* An endpoint of this host. */
struct endpoint {
	__u32 ifindex;	/* host side; 0: no interface */
	enum endpoint_flag flags;
	__u64 generation;
	__u8 mac[6];
	__u8 padding[2];
};

/* An endpoint that left this host: until `until` its packets are passed on, or called gone. */
struct tombstone {
	struct address host; /* where it is now; all zero: deleted */
	__u64 generation;
	__u64 until;
};

/* A bouncer's answer. */
struct mapping {
	struct address host;
	__u64 generation;
	__u8 mac[6];
	__u8 padding[2];
};

enum path_state {
	PATH_ASKED, /* no answer yet */
	PATH_TOLD,
	PATH_NONE,  /* there is no such address */
	PATH_SERVICE, /* a service: its flows have paths of their own */
};

/*
 * A host's cached answer. Elements of an LRU map are reused under readers, so the value repeats its key: copy, then
 * compare.
 */
struct path {
	struct endpoint_key key;
	enum path_state state;
	struct address host;
	struct address asked; /* the owner that was asked last */
	__u64 generation;
	__u64 told_at;
	__u64 asked_at;
	__u64 checked_at; /* when a bouncer was last asked */
	__u64 live_at;	  /* when the host was last known to be alive */
	__u8 mac[6];
	__u8 asks;	  /* unanswered, saturating */
	__u8 padding;
};

/*
 * Longest prefix of the subnets of a VPC. A host knows those of its endpoints; a divider, which holds slots of
 * subnet 0, knows all.
 */
struct route_key {
	__u32 length; /* 32 for the VNI and the bits of the 16-byte address */
	__u32 vni;
	struct address address;
};

struct route {
	__u32 subnet;
	__u32 padding;
	__u64 generation;
};

struct slot_key {
	__u32 vni;
	__u32 subnet; /* 0: the VPC's dividers */
	__u32 slot;
};

/* Who owns a slot. */
struct slot_owners {
	struct address primary;
	struct address secondary; /* all zero: none */
	__u32 epoch;
	__u32 padding;
	__u64 generation;
};

enum holding_state {
	HOLDING_LOADING = 1,
	HOLDING_SERVING,
	HOLDING_LEAVING,
};

/* This host holds the slot; written when its mappings are complete. */
struct holding {
	enum holding_state state;
	__u32 epoch;
	__u64 generation;
};

struct host_key {
	struct address host;
};

/* The link-layer next hop to a host that this host asks. */
struct next_hop {
	__u32 ifindex;
	__u8 destination[6];
	__u8 source[6];
};

/* A service's address: every bouncer of its subnet holds it. Its key is an endpoint_key. */
struct service_address {
	__u64 generation;
	__u8 mac[6];
	__u8 padding[2];
};

struct service_port_key {
	__u32 vni;
	struct address ip;
	__be16 port;
	__u8 protocol;
	__u8 padding;
};

enum affinity {
	AFFINITY_FLOW,	    /* every flow for itself */
	AFFINITY_CLIENT_IP, /* flows of one client keep together */
};

enum refusal {
	REFUSAL_DROP,
	REFUSAL_TELL, /* by ICMP, that nobody is there */
};

/* One port of a service. `bucket` is its Maglev table: numbers of backends; nothing is read of it without backends. */
struct service_port {
	__u64 generation;
	__u32 backends;
	__u16 affinity; /* enum affinity */
	__u16 refusal;	/* enum refusal, when there is no backend */
	__u16 bucket[SERVICE_BUCKETS];
	__u8 padding[6];
};

struct backend_key {
	struct service_port_key service;
	__u32 number;
};

struct backend {
	struct address ip;
	__be16 port;
	__u8 padding[6];
	__u64 generation;
};

/* As an endpoint sends it, or as an answer reaches its host. */
struct flow_key {
	__u32 vni;
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 padding[3];
};

enum flow_state {
	FLOW_NEW, /* no answer yet; UDP stays so */
	FLOW_ESTABLISHED,
	FLOW_CLOSING,
};

/* What a packet of the flow becomes. Each flow has two: one for what its client sends, one for what comes back. */
struct flow {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	enum flow_state state;
	__u32 ifindex; /* of the client's interface */
	__u32 padding;
	__u64 pinned_at;
	__u64 seen_at;
};

/* Of one endpoint as a client of services. */
struct quota {
	__u64 pinned_at; /* its latest flow */
	__u32 flows;	 /* established; counted again by the agent */
	__u32 padding;
};

/* What is known of another host's datapath. */
struct host_state {
	__u64 asked_at;	 /* oldest ask without an answer, if later than heard_at */
	__u64 heard_at;	 /* when a packet of it last came */
	__u64 probed_at; /* when it was last asked for a sign of life */
};

struct heard {
	struct address host;
	__u64 at;
};

struct network_key {
	__u32 vni;
};

/* A VNI with a subnet known here. */
struct network {
	__u64 generation;
};

struct prefix_key {
	__u32 length; /* bits of the 16-byte address */
	struct address address;
};

struct prefix {
	__u32 accepted;
};

/* One row: what this host is. */
struct config {
	struct address self; /* underlay address */
	/* Hosts in it are neighbours on `nic`: no route needs to be looked up for them. All ones in the mask: none are. */
	struct address onlink_network;
	struct address onlink_mask;
	__u64 secret[2];
	__u64 soft_lease_ns;
	__u64 hard_lease_ns;
	__u64 check_ns;
	__u64 retry_ns;
	__u64 negative_ns;
	__u64 ask_interval_ns; /* one over the endpoint's asks per second */
	__u64 ask_burst_ns;
	__u32 nic;	       /* ifindex */
	__u32 padding;
};

/* One row: until when this host may call an address unknown. */
struct attachment {
	__u64 until;
};

/* Outer headers that are being written, with a path option: struct outer_ask. */
struct outer_bytes {
	__u8 bytes[96];
} __attribute__((aligned(8)));

/* What an ICMP error quotes. */
struct quote {
	__u8 bytes[68];
};

/* When the endpoint's next ask is due, and the next ICMP error to it (generic cell rate algorithm). */
struct budget {
	__u64 due;
	__u64 error_due;
};

struct notice_key {
	struct address asker;
	struct endpoint_key about;
};

struct notice {
	__u64 sent_at;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct drop_key {
	__u32 vni;
	enum verdict verdict;
};

/* Seen from the endpoint: sent by it, received by it. */
struct traffic {
	struct counter sent;
	struct counter received;
};

#pragma clang diagnostic pop

_Static_assert(sizeof(struct address) == 16, "addresses are 16 bytes");
_Static_assert(sizeof(struct endpoint_key) == 20, "no holes in keys");
_Static_assert(sizeof(struct path) == 104, "path");

#endif
