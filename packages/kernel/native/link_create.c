// SPDX-License-Identifier: Apache-2.0
// New interfaces: veth pairs, metadata tunnels, bridges, taps.
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct create_job {
	struct job job;
	char netns[PATH_SIZE], peer_netns[PATH_SIZE], kind[16];
	struct link_request request, peer;
	struct link_info info;
	bool external, vnet_header;
	uint32_t port;
};

static struct create_job *new_create_job(struct reader *reader, void (*run)(struct job *),
					 napi_value (*result)(napi_env, struct job *))
{
	struct create_job *link = job_new(sizeof(*link));
	link->job.run = run;
	link->job.result = result;
	read_string(reader, "netns", link->netns, sizeof(link->netns));
	read_link_request(reader, &link->request);
	read_name(reader, "name", link->request.name, sizeof(link->request.name));
	link->request.ifindex = 0;
	return link;
}

// Both ends in one request, each in its namespace from the start: moving an interface afterwards costs an RCU grace
// period. `netlink` belongs to the host side.
int link_create_veth(struct netlink *netlink, const struct link_request *host, const struct link_request *peer,
		     int peer_netns_fd, struct link_info *created, struct kernel_error *error)
{
	struct ifinfomsg header = link_header(host), peer_header = link_header(peer);
	// The kernel joins the ends last, and an end without its peer cannot be up.
	header.ifi_change &= ~(unsigned int)IFF_UP;
	peer_header.ifi_change &= ~(unsigned int)IFF_UP;
	header.ifi_flags &= ~(unsigned int)IFF_UP;
	peer_header.ifi_flags &= ~(unsigned int)IFF_UP;
	struct nl_msg *message = netlink_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	link_put(message, host);
	if (host->queues != 0) {
		nla_put_u32(message, IFLA_NUM_TX_QUEUES, host->queues);
		nla_put_u32(message, IFLA_NUM_RX_QUEUES, host->queues);
	}
	struct nlattr *info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "veth");
	struct nlattr *data = nla_nest_start(message, IFLA_INFO_DATA);
	struct nlattr *other = nla_nest_start(message, VETH_INFO_PEER);
	nlmsg_append(message, &peer_header, sizeof(peer_header), NLMSG_ALIGNTO);
	link_put(message, peer);
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
	return link_require(netlink, host->name, 0, created, error, "create veth");
}

// What cannot be part of the creation.
static int finish_veth(struct create_job *link, struct netlink *netlink)
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
	struct create_job *link = (struct create_job *)job;
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
	struct create_job *link = (struct create_job *)job;
	napi_value object = new_object(env);
	set_number(env, object, "ifindex", link->info.ifindex);
	set_number(env, object, "peerIfindex", link->info.peer_ifindex);
	return object;
}

// createVeth({name, netns?, mtu?, mac?, alias?, gsoMaxSize?, queues?, up?, arp?, peer: {name, netns?, mtu?, ...}})
napi_value link_new_veth(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct create_job *link = new_create_job(&reader, run_veth, veth_result);
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

static void put_tunnel(struct nl_msg *message, const struct create_job *link)
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
	struct create_job *link = (struct create_job *)job;
	struct netlink netlink;
	struct ifinfomsg header = link_header(&link->request);
	struct nl_msg *message;
	char operation[32];
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	message = netlink_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	link_put(message, &link->request);
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
		link_require(&netlink, link->request.name, 0, &link->info, &job->error, operation);
	netlink_close(&netlink);
}

static napi_value index_result(napi_env env, struct job *job)
{
	napi_value object = new_object(env);
	set_number(env, object, "ifindex", ((struct create_job *)job)->info.ifindex);
	return object;
}

// createTunnel({kind: 'geneve'|'vxlan', name, port, external, mtu?, netns?, up?}) -> {ifindex}
napi_value link_new_tunnel(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct create_job *link = new_create_job(&reader, run_new, index_result);
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
	struct create_job *link = new_create_job(&reader, run_new, index_result);
	strcpy(link->kind, "bridge");
	return job_start(&reader, &link->job, "createBridge");
}

static void run_tap(struct job *job)
{
	struct create_job *link = (struct create_job *)job;
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
	if (link_require(&netlink, link->request.name, 0, &link->info, &job->error, "create tap") == 0) {
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
	struct create_job *link = new_create_job(&reader, run_tap, index_result);
	link->vnet_header = read_flag(&reader, "vnetHeader") == 1;
	return job_start(&reader, &link->job, "createTap");
}
