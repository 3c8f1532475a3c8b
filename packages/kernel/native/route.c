// SPDX-License-Identifier: Apache-2.0
// Addresses and routes.
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int prefix_size(const struct prefix *prefix)
{
	return prefix->family == AF_INET6 ? 16 : 4;
}

// Reads "10.0.1.5/24", "fd00::5" and the like; the length defaults to all bits.
bool read_prefix(struct reader *reader, const char *field, bool required, struct prefix *prefix)
{
	char text[64], message[128], *slash;
	memset(prefix, 0, sizeof(*prefix));
	if (!read_string(reader, field, text, sizeof(text)) && !required)
		return false;
	if (reader->failed)
		return false;
	slash = strchr(text, '/');
	if (slash != NULL)
		*slash = '\0';
	if (inet_pton(AF_INET, text, prefix->bytes) == 1)
		prefix->family = AF_INET;
	else if (inet_pton(AF_INET6, text, prefix->bytes) == 1)
		prefix->family = AF_INET6;
	prefix->length = prefix_size(prefix) * 8;
	if (prefix->family != 0 && slash != NULL) {
		char *end;
		long length = strtol(slash + 1, &end, 10);
		if (*end != '\0' || end == slash + 1 || length < 0 || length > prefix->length)
			prefix->family = 0;
		prefix->length = (int)length;
	}
	if (prefix->family == 0) {
		snprintf(message, sizeof(message), "%s must be an IP address, with or without a prefix length", field);
		napi_throw_type_error(reader->env, NULL, message);
		reader->failed = true;
		return false;
	}
	return true;
}

static void format_prefix(const struct prefix *prefix, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "default";
	if (prefix->family != 0)
		inet_ntop(prefix->family, prefix->bytes, text, sizeof(text));
	if (prefix->family != 0)
		snprintf(out, size, "%s/%d", text, prefix->length);
	else
		snprintf(out, size, "%s", text);
}

void read_address_request(struct reader *reader, struct address_request *request)
{
	read_prefix(reader, "address", true, &request->prefix);
	read_string(reader, "scope", request->scope, sizeof(request->scope));
	request->no_prefix_route = read_flag(reader, "noPrefixRoute") == 1;
}

// dst 'default' (or none) and via decide the family together.
void read_route_request(struct reader *reader, struct route_request *request)
{
	char text[64];
	memset(request, 0, sizeof(*request));
	if (read_string(reader, "dst", text, sizeof(text)) && strcmp(text, "default") != 0)
		read_prefix(reader, "dst", true, &request->dst);
	read_prefix(reader, "via", false, &request->via);
	read_string(reader, "scope", request->scope, sizeof(request->scope));
	request->onlink = read_flag(reader, "onlink") == 1;
	request->mtu = read_u32(reader, "mtu", 0);
}

static int scope_number(const char *scope, int fallback)
{
	int number = scope[0] != '\0' ? rtnl_str2scope(scope) : fallback;
	return number >= 0 ? number : fallback;
}

int address_change(struct netlink *netlink, uint32_t ifindex, const struct address_request *request, bool add,
		   struct kernel_error *error)
{
	struct ifaddrmsg header = { .ifa_family = (uint8_t)request->prefix.family,
				    .ifa_prefixlen = (uint8_t)request->prefix.length,
				    .ifa_scope = (uint8_t)scope_number(request->scope, RT_SCOPE_UNIVERSE),
				    .ifa_index = ifindex };
	uint32_t flags = (request->prefix.family == AF_INET6 ? IFA_F_NODAD : 0) |
			 (request->no_prefix_route ? IFA_F_NOPREFIXROUTE : 0);
	struct nl_msg *message = netlink_message(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
						 &header, sizeof(header));
	char object[80];
	format_prefix(&request->prefix, object, sizeof(object));
	nla_put(message, IFA_LOCAL, prefix_size(&request->prefix), request->prefix.bytes);
	nla_put(message, IFA_ADDRESS, prefix_size(&request->prefix), request->prefix.bytes);
	if (add)
		nla_put_u32(message, IFA_FLAGS, flags);
	return netlink_request(netlink, message, NULL, NULL, error, add ? "add address" : "delete address", object);
}

int route_change(struct netlink *netlink, uint32_t ifindex, const struct route_request *request, bool add,
		 struct kernel_error *error)
{
	int family = request->dst.family != 0 ? request->dst.family : request->via.family != 0 ? request->via.family : AF_INET;
	bool direct = request->via.family == 0;
	struct rtmsg header = { .rtm_family = (uint8_t)family,
				.rtm_dst_len = (uint8_t)(request->dst.family != 0 ? request->dst.length : 0),
				.rtm_table = RT_TABLE_MAIN,
				.rtm_type = RTN_UNICAST,
				.rtm_protocol = add ? RTPROT_STATIC : RTPROT_UNSPEC,
				.rtm_flags = request->onlink ? RTNH_F_ONLINK : 0,
				.rtm_scope = (uint8_t)scope_number(request->scope,
								   direct && family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE) };
	if (!add && request->scope[0] == '\0')
		header.rtm_scope = RT_SCOPE_NOWHERE;
	struct nl_msg *message =
		netlink_message(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &header, sizeof(header));
	char object[80];
	format_prefix(&request->dst, object, sizeof(object));
	if (request->dst.family != 0)
		nla_put(message, RTA_DST, prefix_size(&request->dst), request->dst.bytes);
	if (!direct && request->via.family == family) {
		nla_put(message, RTA_GATEWAY, prefix_size(&request->via), request->via.bytes);
	} else if (!direct) {
		uint8_t via[18];
		uint16_t via_family = (uint16_t)request->via.family;
		memcpy(via, &via_family, 2);
		memcpy(via + 2, request->via.bytes, 16);
		nla_put(message, RTA_VIA, 2 + prefix_size(&request->via), via);
	}
	if (ifindex != 0)
		nla_put_u32(message, RTA_OIF, ifindex);
	if (request->mtu != 0) {
		struct nlattr *metrics = nla_nest_start(message, RTA_METRICS);
		nla_put_u32(message, RTAX_MTU, request->mtu);
		nla_nest_end(message, metrics);
	}
	return netlink_request(netlink, message, NULL, NULL, error, add ? "add route" : "delete route", object);
}

struct route_job {
	struct job job;
	char netns[PATH_SIZE], dev[16];
	bool is_address, add;
	struct address_request address;
	struct route_request route;
	struct prefix target, gateway, source;
	uint32_t ifindex, mtu;
	bool found;
};

static void run_change(struct job *job)
{
	struct route_job *route = (struct route_job *)job;
	struct netlink netlink;
	struct link_info link;
	if (netlink_open(&netlink, route->netns, &job->error) != 0)
		return;
	if (route->dev[0] != '\0') {
		if (link_get(&netlink, route->dev, 0, &link, &job->error) > 0)
			fail(&job->error, ENODEV, "find interface", route->dev, NULL);
		route->ifindex = link.ifindex;
	}
	if (job->error.code == 0 && route->is_address)
		address_change(&netlink, route->ifindex, &route->address, route->add, &job->error);
	else if (job->error.code == 0)
		route_change(&netlink, route->ifindex, &route->route, route->add, &job->error);
	netlink_close(&netlink);
}

static napi_value start_change(napi_env env, napi_callback_info info, bool is_address, bool add, const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct route_job *route = job_new(sizeof(*route));
	route->job.run = run_change;
	route->is_address = is_address;
	route->add = add;
	read_string(&reader, "netns", route->netns, sizeof(route->netns));
	read_string(&reader, "dev", route->dev, sizeof(route->dev));
	route->ifindex = read_u32(&reader, "ifindex", 0);
	if (is_address)
		read_address_request(&reader, &route->address);
	else
		read_route_request(&reader, &route->route);
	if (!reader.failed && route->dev[0] == '\0' && route->ifindex == 0) {
		napi_throw_type_error(env, NULL, "dev or ifindex must be given");
		reader.failed = true;
	}
	return job_start(&reader, &route->job, name);
}

// addAddress({dev|ifindex, netns?, address: '10.0.1.5/24', scope?, noPrefixRoute?}); IPv6 without DAD
napi_value address_add(napi_env env, napi_callback_info info)
{
	return start_change(env, info, true, true, "addAddress");
}

napi_value address_delete(napi_env env, napi_callback_info info)
{
	return start_change(env, info, true, false, "deleteAddress");
}

// addRoute({dev|ifindex, netns?, dst?: '10.0.0.0/16'|'default', via?, onlink?, scope?, mtu?}): replaces its equal
napi_value route_add(napi_env env, napi_callback_info info)
{
	return start_change(env, info, false, true, "addRoute");
}

napi_value route_delete(napi_env env, napi_callback_info info)
{
	return start_change(env, info, false, false, "deleteRoute");
}

static void copy_prefix(struct nlattr *attribute, struct prefix *prefix)
{
	int length = attribute != NULL ? nla_len(attribute) : 0;
	if (length != 4 && length != 16)
		return;
	prefix->family = length == 4 ? AF_INET : AF_INET6;
	memcpy(prefix->bytes, nla_data(attribute), (size_t)length);
}

static int parse_route(struct nlmsghdr *header, void *context)
{
	struct route_job *route = context;
	struct nlattr *attributes[RTA_MAX + 1] = { 0 }, *metrics[RTAX_MAX + 1] = { 0 };
	if (header->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse(header, sizeof(struct rtmsg), attributes, RTA_MAX, NULL) < 0)
		return 0;
	if (attributes[RTA_OIF])
		route->ifindex = nla_get_u32(attributes[RTA_OIF]);
	copy_prefix(attributes[RTA_GATEWAY], &route->gateway);
	copy_prefix(attributes[RTA_PREFSRC], &route->source);
	if (attributes[RTA_VIA] && nla_len(attributes[RTA_VIA]) == 18) {
		route->gateway.family = AF_INET6;
		memcpy(route->gateway.bytes, (char *)nla_data(attributes[RTA_VIA]) + 2, 16);
	}
	if (attributes[RTA_METRICS] && nla_parse_nested(metrics, RTAX_MAX, attributes[RTA_METRICS], NULL) == 0 &&
	    metrics[RTAX_MTU])
		route->mtu = nla_get_u32(metrics[RTAX_MTU]);
	route->found = true;
	return 0;
}

static void run_get(struct job *job)
{
	struct route_job *route = (struct route_job *)job;
	struct rtmsg header = { .rtm_family = (uint8_t)route->target.family,
				.rtm_dst_len = (uint8_t)(prefix_size(&route->target) * 8) };
	struct netlink netlink;
	struct nl_msg *message;
	char object[80];
	if (netlink_open(&netlink, route->netns, &job->error) != 0)
		return;
	format_prefix(&route->target, object, sizeof(object));
	message = netlink_message(RTM_GETROUTE, 0, &header, sizeof(header));
	nla_put(message, RTA_DST, prefix_size(&route->target), route->target.bytes);
	netlink_request(&netlink, message, parse_route, route, &job->error, "find route to", object);
	netlink_close(&netlink);
}

static void set_address(napi_env env, napi_value object, const char *field, const struct prefix *prefix)
{
	char text[INET6_ADDRSTRLEN];
	if (prefix->family != 0 && inet_ntop(prefix->family, prefix->bytes, text, sizeof(text)) != NULL)
		set_string(env, object, field, text);
}

static napi_value get_result(napi_env env, struct job *job)
{
	struct route_job *route = (struct route_job *)job;
	napi_value object = new_object(env);
	set_number(env, object, "ifindex", route->ifindex);
	set_address(env, object, "gateway", &route->gateway);
	set_address(env, object, "source", &route->source);
	if (route->mtu != 0)
		set_number(env, object, "mtu", route->mtu);
	return object;
}

// routeGet({dst, netns?}) -> {ifindex, gateway?, source?, mtu?}; ENETUNREACH when there is none
napi_value route_get(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct route_job *route = job_new(sizeof(*route));
	route->job.run = run_get;
	route->job.result = get_result;
	read_string(&reader, "netns", route->netns, sizeof(route->netns));
	read_prefix(&reader, "dst", true, &route->target);
	return job_start(&reader, &route->job, "routeGet");
}
