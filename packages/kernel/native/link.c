// SPDX-License-Identifier: Apache-2.0
// Interfaces: reading, changing, listing, deleting. link_create.c makes them.
#include "kernel.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void format_mac(const uint8_t mac[6], char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

// The kernel prefers the index when it has both.
static void describe(const char *name, uint32_t ifindex, char out[32])
{
	if (ifindex == 0)
		snprintf(out, 32, "%s", name);
	else
		snprintf(out, 32, "interface %u", ifindex);
}

// ---- reading
static int parse_link(struct nlmsghdr *header, void *context)
{
	struct link_info *info = context;
	struct ifinfomsg *link = nlmsg_data(header);
	struct nlattr *attributes[IFLA_MAX + 1] = { 0 }, *nested[IFLA_INFO_MAX + 1] = { 0 }, *xdp[IFLA_XDP_MAX + 1] = { 0 };
	if (header->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse(header, sizeof(*link), attributes, IFLA_MAX, NULL) < 0)
		return 0;
	memset(info, 0, sizeof(*info));
	info->ifindex = (uint32_t)link->ifi_index;
	info->flags = link->ifi_flags;
	if (attributes[IFLA_IFNAME])
		nla_strlcpy(info->name, attributes[IFLA_IFNAME], sizeof(info->name));
	if (attributes[IFLA_IFALIAS])
		nla_strlcpy(info->alias, attributes[IFLA_IFALIAS], sizeof(info->alias));
	if (attributes[IFLA_MTU])
		info->mtu = nla_get_u32(attributes[IFLA_MTU]);
	if (attributes[IFLA_MAX_MTU])
		info->max_mtu = nla_get_u32(attributes[IFLA_MAX_MTU]);
	if (attributes[IFLA_MASTER])
		info->master = nla_get_u32(attributes[IFLA_MASTER]);
	if (attributes[IFLA_LINK])
		info->peer_ifindex = nla_get_u32(attributes[IFLA_LINK]);
	if (attributes[IFLA_GSO_MAX_SIZE])
		info->gso_max_size = nla_get_u32(attributes[IFLA_GSO_MAX_SIZE]);
	if (attributes[IFLA_ADDRESS] && nla_len(attributes[IFLA_ADDRESS]) == 6) {
		info->has_mac = true;
		memcpy(info->mac, nla_data(attributes[IFLA_ADDRESS]), 6);
	}
	if (attributes[IFLA_LINKINFO] && nla_parse_nested(nested, IFLA_INFO_MAX, attributes[IFLA_LINKINFO], NULL) == 0 &&
	    nested[IFLA_INFO_KIND])
		nla_strlcpy(info->kind, nested[IFLA_INFO_KIND], sizeof(info->kind));
	if (attributes[IFLA_XDP] && nla_parse_nested(xdp, IFLA_XDP_MAX, attributes[IFLA_XDP], NULL) == 0 &&
	    xdp[IFLA_XDP_ATTACHED])
		info->xdp_mode = nla_get_u8(xdp[IFLA_XDP_ATTACHED]);
	return 0;
}

// Returns 0, 1 when there is no such interface, or -1 with an error recorded.
int link_get(struct netlink *netlink, const char *name, uint32_t ifindex, struct link_info *info,
	     struct kernel_error *error)
{
	struct ifinfomsg header = { .ifi_index = (int)ifindex };
	struct nl_msg *message = netlink_message(RTM_GETLINK, 0, &header, sizeof(header));
	struct kernel_error refusal = { 0 };
	char object[32];
	if (ifindex == 0)
		nla_put_string(message, IFLA_IFNAME, name);
	describe(name, ifindex, object);
	if (netlink_request(netlink, message, parse_link, info, &refusal, "read interface", object) == 0)
		return 0;
	if (refusal.code == ENODEV)
		return 1;
	if (error->code == 0)
		*error = refusal;
	return -1;
}

int link_require(struct netlink *netlink, const char *name, uint32_t ifindex, struct link_info *info,
			struct kernel_error *error, const char *operation)
{
	int rc = link_get(netlink, name, ifindex, info, error);
	char object[32];
	describe(name, ifindex, object);
	return rc <= 0 ? rc : fail(error, ENODEV, operation, object, NULL);
}

static napi_value link_to_js(napi_env env, const struct link_info *info)
{
	static const char *const modes[] = { NULL, "native", "generic", "offload" };
	napi_value object = new_object(env);
	char mac[18];
	set_number(env, object, "ifindex", info->ifindex);
	set_string(env, object, "name", info->name);
	set_number(env, object, "mtu", info->mtu);
	set_number(env, object, "maxMtu", info->max_mtu);
	set_bool(env, object, "up", info->flags & IFF_UP);
	set_bool(env, object, "running", info->flags & IFF_RUNNING);
	set_bool(env, object, "arp", !(info->flags & IFF_NOARP));
	set_number(env, object, "gsoMaxSize", info->gso_max_size);
	if (info->has_mac) {
		format_mac(info->mac, mac);
		set_string(env, object, "mac", mac);
	}
	if (info->alias[0] != '\0')
		set_string(env, object, "alias", info->alias);
	if (info->kind[0] != '\0')
		set_string(env, object, "kind", info->kind);
	if (info->master != 0)
		set_number(env, object, "master", info->master);
	if (info->peer_ifindex != 0)
		set_number(env, object, "peerIfindex", info->peer_ifindex);
	if (info->xdp_mode > 0 && info->xdp_mode < 4)
		set_string(env, object, "xdp", modes[info->xdp_mode]);
	return object;
}

// ---- writing
void link_put(struct nl_msg *message, const struct link_request *request)
{
	if (request->name[0] != '\0')
		nla_put_string(message, IFLA_IFNAME, request->name);
	if (request->mtu != 0)
		nla_put_u32(message, IFLA_MTU, request->mtu);
	if (request->has_mac)
		nla_put(message, IFLA_ADDRESS, 6, request->mac);
	if (request->gso_max_size != 0)
		nla_put_u32(message, IFLA_GSO_MAX_SIZE, request->gso_max_size);
	if (request->has_master)
		nla_put_u32(message, IFLA_MASTER, request->master);
}

struct ifinfomsg link_header(const struct link_request *request)
{
	struct ifinfomsg header = { .ifi_index = (int)request->ifindex };
	if (request->up >= 0) {
		header.ifi_change |= IFF_UP;
		header.ifi_flags |= request->up ? IFF_UP : 0;
	}
	if (request->arp >= 0) {
		header.ifi_change |= IFF_NOARP;
		header.ifi_flags |= request->arp ? 0 : IFF_NOARP;
	}
	return header;
}

int link_set(struct netlink *netlink, const struct link_request *request, struct kernel_error *error)
{
	struct ifinfomsg header = link_header(request);
	struct nl_msg *message = netlink_message(RTM_SETLINK, 0, &header, sizeof(header));
	char object[32];
	describe(request->name, request->ifindex, object);
	link_put(message, request);
	if (request->alias[0] != '\0')
		nla_put(message, IFLA_IFALIAS, (int)strlen(request->alias), request->alias);
	return netlink_request(netlink, message, NULL, NULL, error, "set interface", object);
}

int link_delete(struct netlink *netlink, uint32_t ifindex, const char *object, struct kernel_error *error)
{
	struct ifinfomsg header = { .ifi_index = (int)ifindex };
	struct nl_msg *message = netlink_message(RTM_DELLINK, 0, &header, sizeof(header));
	return netlink_request(netlink, message, NULL, NULL, error, "delete interface", object);
}

void read_link_request(struct reader *reader, struct link_request *request)
{
	memset(request, 0, sizeof(*request));
	read_string(reader, "name", request->name, sizeof(request->name));
	read_string(reader, "alias", request->alias, sizeof(request->alias));
	request->ifindex = read_u32(reader, "ifindex", 0);
	request->mtu = read_u32(reader, "mtu", 0);
	request->gso_max_size = read_u32(reader, "gsoMaxSize", 0);
	request->queues = read_u32(reader, "queues", 0);
	request->has_mac = read_mac(reader, "mac", request->mac);
	request->up = read_flag(reader, "up");
	request->arp = read_flag(reader, "arp");
}

// ---- jobs
struct link_job {
	struct job job;
	char netns[PATH_SIZE], master[16];
	struct link_request request;
	struct link_info info;
	bool found;
	struct link_info *list;
	uint32_t list_count, list_capacity;
};

static void release_link(struct job *job)
{
	free(((struct link_job *)job)->list);
}

static struct link_job *new_link_job(struct reader *reader, void (*run)(struct job *),
				     napi_value (*result)(napi_env, struct job *))
{
	struct link_job *link = job_new(sizeof(*link));
	link->job.run = run;
	link->job.result = result;
	link->job.release = release_link;
	read_string(reader, "netns", link->netns, sizeof(link->netns));
	return link;
}

static void require_name(struct reader *reader, const struct link_job *link)
{
	if (!reader->failed && link->request.name[0] == '\0' && link->request.ifindex == 0) {
		napi_throw_type_error(reader->env, NULL, "name or ifindex must be given");
		reader->failed = true;
	}
}

static void run_change(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	struct link_info master;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	if (link->master[0] != '\0') {
		if (link_require(&netlink, link->master, 0, &master, &job->error, "set master to") == 0)
			link->request.master = master.ifindex;
	}
	if (job->error.code == 0)
		link_set(&netlink, &link->request, &job->error);
	netlink_close(&netlink);
}

// setLink({name|ifindex, netns?, up?, mtu?, arp?, alias?, mac?, gsoMaxSize?, master?}): master '' takes it out.
napi_value link_change(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_change, NULL);
	read_link_request(&reader, &link->request);
	require_name(&reader, link);
	link->request.has_master = read_string(&reader, "master", link->master, sizeof(link->master));
	return job_start(&reader, &link->job, "setLink");
}

static void run_read(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	link->found = link_get(&netlink, link->request.name, link->request.ifindex, &link->info, &job->error) == 0;
	netlink_close(&netlink);
}

static napi_value read_result(napi_env env, struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	return link->found ? link_to_js(env, &link->info) : new_undefined(env);
}

// getLink({name|ifindex, netns?}) -> link or undefined
napi_value link_read(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_read, read_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link);
	return job_start(&reader, &link->job, "getLink");
}

static int add_to_list(struct nlmsghdr *header, void *context)
{
	struct link_job *link = context;
	if (link->list_count == link->list_capacity) {
		uint32_t capacity = link->list_capacity * 2 + 16;
		struct link_info *list = realloc(link->list, capacity * sizeof(*list));
		if (list == NULL)
			return fail(&link->job.error, ENOMEM, "list", "interfaces", NULL);
		link->list = list;
		link->list_capacity = capacity;
	}
	memset(&link->list[link->list_count], 0, sizeof(*link->list));
	parse_link(header, &link->list[link->list_count]);
	link->list_count += link->list[link->list_count].ifindex != 0;
	return 0;
}

static int by_index(const void *left, const void *right)
{
	uint32_t a = ((const struct link_info *)left)->ifindex, b = ((const struct link_info *)right)->ifindex;
	return a < b ? -1 : a > b;
}

// Sorted (older kernels dump by hash), and without the doubles of a dump that was repeated.
static void sort_list(struct link_job *link)
{
	uint32_t kept = 0;
	if (link->list_count != 0)
		qsort(link->list, link->list_count, sizeof(*link->list), by_index);
	for (uint32_t i = 0; i < link->list_count; i++)
		if (i == 0 || link->list[i].ifindex != link->list[kept - 1].ifindex)
			link->list[kept++] = link->list[i];
	link->list_count = kept;
}

static void run_list(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct ifinfomsg header = { 0 };
	struct netlink netlink;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	netlink_request(&netlink, netlink_message(RTM_GETLINK, NLM_F_DUMP, &header, sizeof(header)), add_to_list, link,
			&job->error, "list interfaces of", link->netns);
	sort_list(link);
	netlink_close(&netlink);
}

static napi_value list_result(napi_env env, struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	napi_value array;
	napi_create_array_with_length(env, link->list_count, &array);
	for (uint32_t i = 0; i < link->list_count; i++)
		napi_set_element(env, array, i, link_to_js(env, &link->list[i]));
	return array;
}

// listLinks({netns?})
napi_value link_list(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_list, list_result);
	return job_start(&reader, &link->job, "listLinks");
}

static void run_remove(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	if (link_get(&netlink, link->request.name, link->request.ifindex, &link->info, &job->error) == 0)
		link->found = link_remove_and_leave(&netlink, link->netns, &link->info, &job->error) == 0 &&
			      job->error.code == 0;
	netlink_close(&netlink);
}

static napi_value found_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_get_boolean(env, ((struct link_job *)job)->found, &value);
	return value;
}

// deleteLink({name|ifindex, netns?}) -> whether there was one
napi_value link_remove(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_remove, found_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link);
	return job_start(&reader, &link->job, "deleteLink");
}
