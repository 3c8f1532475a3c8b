// SPDX-License-Identifier: Apache-2.0
// The neighbour table (ARP, ND): one entry, its changes, and entries that the kernel keeps resolved by itself.
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <netlink/route/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct neighbour {
	uint32_t ifindex, state;
	struct prefix address;
	bool has_mac, managed, deleted, overrun;
	uint8_t mac[6];
};

static bool parse_neighbour(struct nlmsghdr *header, struct neighbour *found)
{
	struct nlattr *attributes[NDA_MAX + 1] = { 0 };
	struct ndmsg *neighbour = nlmsg_data(header);
	memset(found, 0, sizeof(*found));
	if ((header->nlmsg_type != RTM_NEWNEIGH && header->nlmsg_type != RTM_DELNEIGH) ||
	    nlmsg_parse(header, sizeof(*neighbour), attributes, NDA_MAX, NULL) < 0 || !attributes[NDA_DST] ||
	    (neighbour->ndm_family != AF_INET && neighbour->ndm_family != AF_INET6))
		return false;
	found->ifindex = (uint32_t)neighbour->ndm_ifindex;
	found->state = neighbour->ndm_state;
	found->deleted = header->nlmsg_type == RTM_DELNEIGH;
	found->address.family = neighbour->ndm_family;
	if (nla_len(attributes[NDA_DST]) != prefix_size(&found->address))
		return false;
	memcpy(found->address.bytes, nla_data(attributes[NDA_DST]), (size_t)nla_len(attributes[NDA_DST]));
	if (attributes[NDA_LLADDR] && nla_len(attributes[NDA_LLADDR]) == 6) {
		found->has_mac = true;
		memcpy(found->mac, nla_data(attributes[NDA_LLADDR]), 6);
	}
	if (attributes[NDA_FLAGS_EXT])
		found->managed = nla_get_u32(attributes[NDA_FLAGS_EXT]) & NTF_EXT_MANAGED;
	return true;
}

static napi_value neighbour_to_js(napi_env env, const struct neighbour *neighbour)
{
	napi_value object = new_object(env);
	char text[64];
	set_number(env, object, "ifindex", neighbour->ifindex);
	inet_ntop(neighbour->address.family, neighbour->address.bytes, text, sizeof(text));
	set_string(env, object, "ip", text);
	if (neighbour->state == NUD_NONE)
		strcpy(text, "none");
	else
		rtnl_neigh_state2str((int)neighbour->state, text, sizeof(text));
	set_string(env, object, "state", text);
	set_bool(env, object, "managed", neighbour->managed);
	if (neighbour->has_mac) {
		format_mac(neighbour->mac, text);
		set_string(env, object, "mac", text);
	}
	return object;
}

struct neighbour_job {
	struct job job;
	char netns[PATH_SIZE];
	struct neighbour wanted, found;
	bool exists, remove;
};

static int take_reply(struct nlmsghdr *header, void *context)
{
	struct neighbour_job *neighbour = context;
	neighbour->exists |= parse_neighbour(header, &neighbour->found);
	return 0;
}

static void request(struct neighbour_job *neighbour, int type, int flags, netlink_reply reply, const char *operation,
		    struct kernel_error *error)
{
	struct ndmsg header = { .ndm_family = (uint8_t)neighbour->wanted.address.family,
				.ndm_ifindex = (int)neighbour->wanted.ifindex,
				.ndm_state = type == RTM_NEWNEIGH ? (uint16_t)neighbour->wanted.state : 0 };
	struct netlink netlink;
	char object[INET6_ADDRSTRLEN];
	if (netlink_open(&netlink, neighbour->netns, error) != 0)
		return;
	inet_ntop(neighbour->wanted.address.family, neighbour->wanted.address.bytes, object, sizeof(object));
	struct nl_msg *message = netlink_message(type, flags, &header, sizeof(header));
	nla_put(message, NDA_DST, prefix_size(&neighbour->wanted.address), neighbour->wanted.address.bytes);
	if (type == RTM_NEWNEIGH && neighbour->wanted.has_mac)
		nla_put(message, NDA_LLADDR, 6, neighbour->wanted.mac);
	if (type == RTM_NEWNEIGH && neighbour->wanted.managed)
		nla_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	netlink_request(&netlink, message, reply, neighbour, error, operation, object);
	netlink_close(&netlink);
}

static void run_get(struct job *job)
{
	struct kernel_error refusal = { 0 };
	request((struct neighbour_job *)job, RTM_GETNEIGH, 0, take_reply, "read neighbour", &refusal);
	if (refusal.code != ENOENT)
		job->error = refusal;
}

static void run_set(struct job *job)
{
	request((struct neighbour_job *)job, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, NULL, "set neighbour", &job->error);
}

static void run_delete(struct job *job)
{
	struct neighbour_job *neighbour = (struct neighbour_job *)job;
	struct kernel_error refusal = { 0 };
	request(neighbour, RTM_DELNEIGH, 0, NULL, "delete neighbour", &refusal);
	neighbour->exists = refusal.code == 0;
	if (refusal.code != ENOENT)
		job->error = refusal;
}

static napi_value get_result(napi_env env, struct job *job)
{
	struct neighbour_job *neighbour = (struct neighbour_job *)job;
	return neighbour->exists ? neighbour_to_js(env, &neighbour->found) : new_undefined(env);
}

static napi_value exists_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_get_boolean(env, ((struct neighbour_job *)job)->exists, &value);
	return value;
}

static napi_value start(napi_env env, napi_callback_info info, void (*run)(struct job *),
			napi_value (*result)(napi_env, struct job *), const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct neighbour_job *neighbour = job_new(sizeof(*neighbour));
	neighbour->job.run = run;
	neighbour->job.result = result;
	read_string(&reader, "netns", neighbour->netns, sizeof(neighbour->netns));
	read_prefix(&reader, "ip", true, &neighbour->wanted.address);
	neighbour->wanted.ifindex = read_u32(&reader, "ifindex", 0);
	neighbour->wanted.managed = read_flag(&reader, "managed") == 1;
	neighbour->wanted.has_mac = read_mac(&reader, "mac", neighbour->wanted.mac);
	// A managed entry is resolved by the kernel; one with a MAC is what the caller says for ever.
	neighbour->wanted.state = neighbour->wanted.managed ? NUD_NONE : NUD_PERMANENT;
	return job_start(&reader, &neighbour->job, name);
}

// getNeighbour({ifindex, ip, netns?}) -> {ifindex, ip, mac?, state, managed} or undefined
napi_value neighbour_get(napi_env env, napi_callback_info info)
{
	return start(env, info, run_get, get_result, "getNeighbour");
}

// setNeighbour({ifindex, ip, netns?, managed: true} or {..., mac})
napi_value neighbour_set(napi_env env, napi_callback_info info)
{
	return start(env, info, run_set, NULL, "setNeighbour");
}

// deleteNeighbour({ifindex, ip, netns?}) -> whether there was one
napi_value neighbour_delete(napi_env env, napi_callback_info info)
{
	return start(env, info, run_delete, exists_result, "deleteNeighbour");
}

// ---- watching
static void *take_change(struct nlmsghdr *header)
{
	struct neighbour *change = job_new(sizeof(*change));
	if (header == NULL) {
		change->overrun = true;
	} else if (!parse_neighbour(header, change)) {
		free(change);
		return NULL;
	}
	return change;
}

static napi_value change_to_js(napi_env env, void *record)
{
	struct neighbour *change = record;
	napi_value object;
	if (change->overrun) {
		object = new_object(env);
		set_string(env, object, "event", "overrun");
		return object;
	}
	object = neighbour_to_js(env, change);
	set_string(env, object, "event", change->deleted ? "deleted" : "changed");
	return object;
}

// watchNeighbours({netns?, onChange}) -> external for closeWatch
napi_value neighbour_watch(napi_env env, napi_callback_info info)
{
	return subscribe(env, info, "neighbours", 1u << (RTNLGRP_NEIGH - 1), take_change, change_to_js);
}
