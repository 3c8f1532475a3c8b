// SPDX-License-Identifier: Apache-2.0
// The main table as a whole, and when routes change.
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct listed_route {
	struct prefix dst;
	uint32_t ifindex; // 0: several next hops
	bool gateway;
};

struct list_job {
	struct job job;
	char netns[PATH_SIZE];
	struct listed_route *list;
	uint32_t count, capacity;
};

static struct rtmsg *unicast_route(struct nlmsghdr *header)
{
	struct rtmsg *route = nlmsg_data(header);
	bool of_route = header->nlmsg_type == RTM_NEWROUTE || header->nlmsg_type == RTM_DELROUTE;
	if (!of_route || nlmsg_datalen(header) < (int)sizeof(*route) || (route->rtm_flags & RTM_F_CLONED) ||
	    (route->rtm_family != AF_INET && route->rtm_family != AF_INET6))
		return NULL;
	return route;
}

static int add_route(struct nlmsghdr *header, void *context)
{
	struct list_job *job = context;
	struct rtmsg *route = unicast_route(header);
	struct nlattr *attributes[RTA_MAX + 1] = { 0 };
	struct listed_route *listed;
	if (route == NULL || route->rtm_type != RTN_UNICAST ||
	    nlmsg_parse(header, sizeof(*route), attributes, RTA_MAX, NULL) < 0 ||
	    (attributes[RTA_TABLE] ? nla_get_u32(attributes[RTA_TABLE]) : route->rtm_table) != RT_TABLE_MAIN)
		return 0;
	if (job->count == job->capacity) {
		uint32_t capacity = job->capacity * 2 + 16;
		struct listed_route *list = realloc(job->list, capacity * sizeof(*list));
		if (list == NULL)
			return fail(&job->job.error, ENOMEM, "list", "routes", NULL);
		job->list = list;
		job->capacity = capacity;
	}
	listed = &job->list[job->count++];
	memset(listed, 0, sizeof(*listed));
	listed->dst.family = route->rtm_family;
	listed->dst.length = route->rtm_dst_len;
	if (attributes[RTA_DST] && nla_len(attributes[RTA_DST]) == prefix_size(&listed->dst))
		memcpy(listed->dst.bytes, nla_data(attributes[RTA_DST]), (size_t)prefix_size(&listed->dst));
	if (attributes[RTA_OIF])
		listed->ifindex = nla_get_u32(attributes[RTA_OIF]);
	listed->gateway = attributes[RTA_GATEWAY] || attributes[RTA_VIA] || attributes[RTA_MULTIPATH] || attributes[RTA_NH_ID];
	return 0;
}

static void run_list(struct job *base)
{
	struct list_job *job = (struct list_job *)base;
	int families[] = { AF_INET, AF_INET6 };
	struct netlink netlink;
	if (netlink_open(&netlink, job->netns, &base->error) != 0)
		return;
	for (int i = 0; i < 2 && base->error.code == 0; i++) {
		struct rtmsg header = { .rtm_family = (uint8_t)families[i] };
		netlink_request(&netlink, netlink_message(RTM_GETROUTE, NLM_F_DUMP, &header, sizeof(header)), add_route, job,
				&base->error, "list routes of", job->netns);
	}
	netlink_close(&netlink);
}

static napi_value list_result(napi_env env, struct job *base)
{
	struct list_job *job = (struct list_job *)base;
	napi_value array;
	napi_create_array_with_length(env, job->count, &array);
	for (uint32_t i = 0; i < job->count; i++) {
		const struct listed_route *listed = &job->list[i];
		napi_value object = new_object(env);
		char text[INET6_ADDRSTRLEN];
		inet_ntop(listed->dst.family, listed->dst.bytes, text, sizeof(text));
		set_string(env, object, "network", text);
		set_number(env, object, "length", listed->dst.length);
		set_number(env, object, "ifindex", listed->ifindex);
		set_bool(env, object, "gateway", listed->gateway);
		napi_set_element(env, array, i, object);
	}
	return array;
}

static void release_list(struct job *base)
{
	free(((struct list_job *)base)->list);
}

// listRoutes({netns?}) -> [{network, length, ifindex, gateway}]: unicast routes of the main table
napi_value route_list(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct list_job *job = job_new(sizeof(*job));
	job->job.run = run_list;
	job->job.result = list_result;
	job->job.release = release_list;
	read_string(&reader, "netns", job->netns, sizeof(job->netns));
	return job_start(&reader, &job->job, "listRoutes");
}

// What changed is not told: a route that goes may uncover another.
static void *take_change(struct nlmsghdr *header)
{
	if (header != NULL) {
		struct rtmsg *route = unicast_route(header);
		if (route == NULL || route->rtm_table == RT_TABLE_LOCAL)
			return NULL;
	}
	return job_new(1);
}

static napi_value change_to_js(napi_env env, void *record)
{
	(void)record;
	return new_undefined(env);
}

// watchRoutes({netns?, onChange}) -> external for closeWatch
napi_value route_watch(napi_env env, napi_callback_info info)
{
	return subscribe(env, info, "routes", 1u << (RTNLGRP_IPV4_ROUTE - 1) | 1u << (RTNLGRP_IPV6_ROUTE - 1), take_change,
			 change_to_js);
}
