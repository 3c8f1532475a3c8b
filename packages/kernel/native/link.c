// SPDX-License-Identifier: Apache-2.0
// Interfaces: veth pairs, tunnels, bridges, taps; reading, changing, deleting.
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

static int require_link(struct netlink *netlink, const char *name, uint32_t ifindex, struct link_info *info,
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
static void put_request(struct nl_msg *message, const struct link_request *request)
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

static struct ifinfomsg request_header(const struct link_request *request)
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
	struct ifinfomsg header = request_header(request);
	struct nl_msg *message = netlink_message(RTM_SETLINK, 0, &header, sizeof(header));
	char object[32];
	describe(request->name, request->ifindex, object);
	put_request(message, request);
	if (request->alias[0] != '\0')
		nla_put(message, IFLA_IFALIAS, (int)strlen(request->alias), request->alias);
	return netlink_request(netlink, message, NULL, NULL, error, "set interface", object);
}

// Both ends in one request, each in its namespace from the start: moving an interface afterwards costs an RCU grace
// period. `netlink` belongs to the host side.
int link_create_veth(struct netlink *netlink, const struct link_request *host, const struct link_request *peer,
		     int peer_netns_fd, struct link_info *created, struct kernel_error *error)
{
	struct ifinfomsg header = request_header(host), peer_header = request_header(peer);
	// The kernel joins the ends last, and an end without its peer cannot be up.
	header.ifi_change &= ~(unsigned int)IFF_UP;
	peer_header.ifi_change &= ~(unsigned int)IFF_UP;
	header.ifi_flags &= ~(unsigned int)IFF_UP;
	peer_header.ifi_flags &= ~(unsigned int)IFF_UP;
	struct nl_msg *message = netlink_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	put_request(message, host);
	if (host->queues != 0) {
		nla_put_u32(message, IFLA_NUM_TX_QUEUES, host->queues);
		nla_put_u32(message, IFLA_NUM_RX_QUEUES, host->queues);
	}
	struct nlattr *info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "veth");
	struct nlattr *data = nla_nest_start(message, IFLA_INFO_DATA);
	struct nlattr *other = nla_nest_start(message, VETH_INFO_PEER);
	nlmsg_append(message, &peer_header, sizeof(peer_header), NLMSG_ALIGNTO);
	put_request(message, peer);
	if (peer->queues != 0) {
		nla_put_u32(message, IFLA_NUM_TX_QUEUES, peer->queues);
		nla_put_u32(message, IFLA_NUM_RX_QUEUES, peer->queues);
	}
	if (peer_netns_fd >= 0)
		nla_put_u32(message, IFLA_NET_NS_FD, (uint32_t)peer_netns_fd);
	nla_nest_end(message, other);
	nla_nest_end(message, data);
	nla_nest_end(message, info);
	if (netlink_request(netlink, message, NULL, NULL, error, "create veth", host->name) != 0)
		return -1;
	return require_link(netlink, host->name, 0, created, error, "create veth");
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
	char netns[PATH_SIZE], peer_netns[PATH_SIZE], master[16], kind[16];
	struct link_request request, peer;
	struct link_info info;
	bool found, external, vnet_header;
	uint32_t port;
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

static void require_name(struct reader *reader, struct link_job *link, bool or_index)
{
	if (!reader->failed && link->request.name[0] == '\0' && !(or_index && link->request.ifindex != 0)) {
		napi_throw_type_error(reader->env, NULL, or_index ? "name or ifindex must be given" : "name must be given");
		reader->failed = true;
	}
}

// What cannot be part of the creation.
static int finish_veth(struct link_job *link, struct netlink *netlink)
{
	struct link_request host = { .ifindex = link->info.ifindex, .up = link->request.up, .arp = -1 };
	struct link_request peer = { .ifindex = link->info.peer_ifindex, .up = link->peer.up, .arp = -1 };
	struct netlink other;
	if (link->peer.up == 1) {
		if (netlink_open(&other, link->peer_netns[0] != '\0' ? link->peer_netns : link->netns, &link->job.error) != 0)
			return -1;
		link_set(&other, &peer, &link->job.error);
		netlink_close(&other);
	}
	memcpy(host.alias, link->request.alias, sizeof(host.alias));
	if (link->job.error.code == 0 && (host.up == 1 || host.alias[0] != '\0'))
		link_set(netlink, &host, &link->job.error);
	return link->job.error.code == 0 ? 0 : -1;
}

static void run_veth(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	int peer_fd = -1;
	if (link->peer_netns[0] != '\0' && (peer_fd = netns_open(link->peer_netns, &job->error)) < 0)
		return;
	if (netlink_open(&netlink, link->netns, &job->error) == 0) {
		if (link_create_veth(&netlink, &link->request, &link->peer, peer_fd, &link->info, &job->error) == 0 &&
		    finish_veth(link, &netlink) != 0) {
			struct kernel_error ignored = { 0 };
			link_delete(&netlink, link->info.ifindex, link->request.name, &ignored);
		}
		netlink_close(&netlink);
	}
	if (peer_fd >= 0)
		close(peer_fd);
}

static napi_value veth_result(napi_env env, struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	napi_value object = new_object(env);
	set_number(env, object, "ifindex", link->info.ifindex);
	set_number(env, object, "peerIfindex", link->info.peer_ifindex);
	return object;
}

// createVeth({name, netns?, mtu?, mac?, alias?, gsoMaxSize?, queues?, up?, arp?, peer: {name, netns?, mtu?, ...}})
napi_value link_new_veth(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_veth, veth_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link, false);
	struct reader peer = read_object(&reader, "peer");
	read_link_request(&peer, &link->peer);
	read_name(&peer, "name", link->peer.name, sizeof(link->peer.name));
	read_string(&peer, "netns", link->peer_netns, sizeof(link->peer_netns));
	if (link->peer.mtu == 0)
		link->peer.mtu = link->request.mtu;
	if (link->peer.gso_max_size == 0)
		link->peer.gso_max_size = link->request.gso_max_size;
	if (link->peer.queues == 0)
		link->peer.queues = link->request.queues;
	reader.failed |= peer.failed;
	return job_start(&reader, &link->job, "createVeth");
}

static void put_tunnel(struct nl_msg *message, const struct link_job *link)
{
	if (strcmp(link->kind, "geneve") == 0) {
		nla_put_u16(message, IFLA_GENEVE_PORT, htons((uint16_t)link->port));
		nla_put_u8(message, IFLA_GENEVE_UDP_ZERO_CSUM6_RX, 1);
		if (link->external)
			nla_put_flag(message, IFLA_GENEVE_COLLECT_METADATA);
	} else {
		nla_put_u16(message, IFLA_VXLAN_PORT, htons((uint16_t)link->port));
		nla_put_u8(message, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
		nla_put_u8(message, IFLA_VXLAN_LEARNING, 0);
		if (link->external)
			nla_put_u8(message, IFLA_VXLAN_COLLECT_METADATA, 1);
	}
}

static void run_new(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	struct ifinfomsg header = request_header(&link->request);
	struct nl_msg *message;
	char operation[32];
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	message = netlink_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	put_request(message, &link->request);
	struct nlattr *info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, link->kind);
	if (strcmp(link->kind, "bridge") != 0) {
		struct nlattr *data = nla_nest_start(message, IFLA_INFO_DATA);
		put_tunnel(message, link);
		nla_nest_end(message, data);
	}
	nla_nest_end(message, info);
	snprintf(operation, sizeof(operation), "create %s", link->kind);
	if (netlink_request(&netlink, message, NULL, NULL, &job->error, operation, link->request.name) == 0)
		require_link(&netlink, link->request.name, 0, &link->info, &job->error, operation);
	netlink_close(&netlink);
}

static napi_value index_result(napi_env env, struct job *job)
{
	napi_value object = new_object(env);
	set_number(env, object, "ifindex", ((struct link_job *)job)->info.ifindex);
	return object;
}

// createTunnel({kind: 'geneve'|'vxlan', name, port, external, mtu?, netns?, up?}) -> {ifindex}
napi_value link_new_tunnel(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_new, index_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link, false);
	read_name(&reader, "kind", link->kind, sizeof(link->kind));
	link->port = read_u32(&reader, "port", 0);
	link->external = read_flag(&reader, "external") == 1;
	if (!reader.failed && strcmp(link->kind, "geneve") != 0 && strcmp(link->kind, "vxlan") != 0) {
		napi_throw_type_error(env, NULL, "kind must be geneve or vxlan");
		reader.failed = true;
	}
	return job_start(&reader, &link->job, "createTunnel");
}

// createBridge({name, mtu?, mac?, netns?, up?}) -> {ifindex}
napi_value link_new_bridge(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_new, index_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link, false);
	strcpy(link->kind, "bridge");
	return job_start(&reader, &link->job, "createBridge");
}

static void run_tap(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct ifreq request = { 0 };
	struct netlink netlink;
	int fd;
	memcpy(request.ifr_name, link->request.name, sizeof(request.ifr_name));
	request.ifr_flags = IFF_TAP | IFF_NO_PI | (short)(link->vnet_header ? IFF_VNET_HDR : 0);
	// The device belongs to the namespace in which /dev/net/tun was opened.
	if (netns_enter(link->netns, &job->error) != 0)
		return;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 || ioctl(fd, TUNSETPERSIST, 1) != 0)
		fail(&job->error, errno, "create tap", link->request.name, NULL);
	if (fd >= 0)
		close(fd);
	netns_leave(link->netns);
	if (job->error.code != 0 || netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	if (require_link(&netlink, link->request.name, 0, &link->info, &job->error, "create tap") == 0) {
		link->request.ifindex = link->info.ifindex;
		link->request.name[0] = '\0';
		link_set(&netlink, &link->request, &job->error);
	}
	netlink_close(&netlink);
}

// createTap({name, vnetHeader?, mtu?, mac?, alias?, netns?, up?, arp?}) -> {ifindex}: persistent; an existing tap of
// that name, if nobody has it open, is taken as it is.
napi_value link_new_tap(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = new_link_job(&reader, run_tap, index_result);
	read_link_request(&reader, &link->request);
	require_name(&reader, link, false);
	link->vnet_header = read_flag(&reader, "vnetHeader") == 1;
	return job_start(&reader, &link->job, "createTap");
}

static void run_change(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	struct link_info master;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	if (link->master[0] != '\0') {
		if (require_link(&netlink, link->master, 0, &master, &job->error, "set master to") == 0)
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
	require_name(&reader, link, true);
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
	require_name(&reader, link, true);
	return job_start(&reader, &link->job, "getLink");
}

static int add_to_list(struct nlmsghdr *header, void *context)
{
	struct link_job *link = context;
	struct link_info info = { 0 };
	parse_link(header, &info);
	for (uint32_t i = link->list_count; i > 0 && info.ifindex <= link->list[i - 1].ifindex; i--)
		if (link->list[i - 1].ifindex == info.ifindex)
			return 0; // seen before the dump was repeated
	if (link->list_count == link->list_capacity) {
		uint32_t capacity = link->list_capacity * 2 + 16;
		struct link_info *list = realloc(link->list, capacity * sizeof(*list));
		if (list == NULL)
			return fail(&link->job.error, ENOMEM, "list", "interfaces", NULL);
		link->list = list;
		link->list_capacity = capacity;
	}
	link->list[link->list_count++] = info;
	return 0;
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
	int rc;
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	rc = link_get(&netlink, link->request.name, link->request.ifindex, &link->info, &job->error);
	if (rc == 0) {
		struct kernel_error refusal = { 0 };
		if (link_delete(&netlink, link->info.ifindex, link->info.name, &refusal) == 0)
			link->found = true;
		else if (refusal.code != ENODEV)
			job->error = refusal;
	}
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
	require_name(&reader, link, true);
	return job_start(&reader, &link->job, "deleteLink");
}
