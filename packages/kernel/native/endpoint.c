// SPDX-License-Identifier: Apache-2.0
// An endpoint's interface in one job: a veth pair, its far end inside the endpoint's namespace with addresses and
// routes, the near end closed to the host's own stack and with the program attached before it is up.
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ADDRESSES 16
#define MAX_ROUTES 32

struct endpoint_job {
	struct job job;
	int program_fd; // -1: attach nothing
	char netns[PATH_SIZE], pin[PATH_SIZE];
	struct link_request host, peer;
	struct address_request addresses[MAX_ADDRESSES];
	struct route_request routes[MAX_ROUTES];
	uint32_t address_count, route_count;
	bool expedite, link_local, pin_by_index; // the pin's name lacks the index, which only the kernel knows
	struct link_info created;
};

static int configure_host(struct endpoint_job *endpoint, struct netlink *host)
{
	struct kernel_error *error = &endpoint->job.error;
	char path[64];
	struct link_request up = { .ifindex = endpoint->created.ifindex, .up = endpoint->host.up, .arp = -1 };
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/disable_ipv6", endpoint->host.name);
	// A host without IPv6 has no such file, and nothing to disable.
	if (sysctl_write("", path, "1", error) != 0) {
		if (error->code != ENOENT)
			return -1;
		error_free(error);
	}
	if (endpoint->pin_by_index) {
		size_t length = strlen(endpoint->pin);
		snprintf(endpoint->pin + length, sizeof(endpoint->pin) - length, "%u", endpoint->created.ifindex);
	}
	if (endpoint->program_fd >= 0 &&
	    tcx_attach(endpoint->program_fd, endpoint->created.ifindex, false, endpoint->pin, endpoint->expedite, error) != 0)
		return -1;
	memcpy(up.alias, endpoint->host.alias, sizeof(up.alias));
	return up.up == 1 || up.alias[0] != '\0' ? link_set(host, &up, error) : 0;
}

// Without such an address an interface neither joins groups nor looks for routers: it is silent until it is used.
static int without_link_local(struct endpoint_job *endpoint)
{
	struct kernel_error *error = &endpoint->job.error;
	char path[64];
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/addr_gen_mode", endpoint->peer.name);
	if (sysctl_write(endpoint->netns, path, "1", error) == 0)
		return 0;
	if (error->code != ENOENT) // a kernel without IPv6 has no such file
		return -1;
	error_free(error);
	return 0;
}

static int configure_peer(struct endpoint_job *endpoint)
{
	struct kernel_error *error = &endpoint->job.error;
	struct link_request up = { .ifindex = endpoint->created.peer_ifindex, .up = 1, .arp = -1 };
	struct netlink peer;
	if (!endpoint->link_local && without_link_local(endpoint) != 0)
		return -1;
	if (netlink_open(&peer, endpoint->netns, error) != 0)
		return -1;
	link_set(&peer, &up, error); // without a carrier until the host's end is up
	for (uint32_t i = 0; i < endpoint->address_count && error->code == 0; i++)
		address_change(&peer, endpoint->created.peer_ifindex, &endpoint->addresses[i], true, error);
	for (uint32_t i = 0; i < endpoint->route_count && error->code == 0; i++)
		route_change(&peer, endpoint->created.peer_ifindex, &endpoint->routes[i], true, error);
	netlink_close(&peer);
	return error->code == 0 ? 0 : -1;
}

static void run(struct job *job)
{
	struct endpoint_job *endpoint = (struct endpoint_job *)job;
	struct netlink host;
	int peer_fd = netns_open(endpoint->netns, &job->error);
	if (peer_fd < 0)
		return;
	if (netlink_open(&host, "", &job->error) == 0) {
		if (link_create_veth(&host, &endpoint->host, &endpoint->peer, peer_fd, &endpoint->created, &job->error) == 0 &&
		    (configure_peer(endpoint) != 0 || configure_host(endpoint, &host) != 0)) {
			struct kernel_error ignored = { 0 };
			if (endpoint->program_fd >= 0)
				unlink(endpoint->pin);
			if (host.fd >= 0)
				link_delete(&host, endpoint->created.ifindex, endpoint->host.name, &ignored);
		}
		netlink_close(&host);
	}
	close(peer_fd);
}

static napi_value result(napi_env env, struct job *job)
{
	struct endpoint_job *endpoint = (struct endpoint_job *)job;
	napi_value object = new_object(env);
	char mac[18];
	set_number(env, object, "ifindex", endpoint->created.ifindex);
	set_number(env, object, "peerIfindex", endpoint->created.peer_ifindex);
	format_mac(endpoint->created.mac, mac);
	set_string(env, object, "mac", mac);
	return object;
}

static void release(struct job *job)
{
	struct endpoint_job *endpoint = (struct endpoint_job *)job;
	if (endpoint->program_fd >= 0)
		close(endpoint->program_fd);
}

// createEndpointInterface({name, netns, peerName, mtu?, peerMtu?, mac?, peerMac?, alias?, gsoMaxSize?, queues?, up?,
//   linkLocal?,
//   addresses: [{address}], routes: [{dst?, via?, onlink?, mtu?}], handle?, pin? | pinPrefix?, expedite?}) -> {ifindex, peerIfindex, mac}
napi_value endpoint_create(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct endpoint_job *endpoint = job_new(sizeof(*endpoint));
	napi_value program;
	endpoint->job.run = run;
	endpoint->job.result = result;
	endpoint->job.release = release;
	endpoint->program_fd = -1;
	read_name(&reader, "netns", endpoint->netns, sizeof(endpoint->netns));
	read_link_request(&reader, &endpoint->host);
	read_name(&reader, "name", endpoint->host.name, sizeof(endpoint->host.name));
	endpoint->peer = endpoint->host;
	endpoint->peer.alias[0] = '\0';
	endpoint->peer.ifindex = endpoint->host.ifindex = 0;
	read_name(&reader, "peerName", endpoint->peer.name, sizeof(endpoint->peer.name));
	endpoint->peer.mtu = read_u32(&reader, "peerMtu", endpoint->host.mtu);
	endpoint->peer.has_mac = read_mac(&reader, "peerMac", endpoint->peer.mac);
	endpoint->peer.arp = -1;
	endpoint->expedite = read_flag(&reader, "expedite") != 0;
	endpoint->link_local = read_flag(&reader, "linkLocal") != 0;
	endpoint->host.arp = 0;
	endpoint->host.up = endpoint->host.up != 0;
	uint32_t addresses = read_length(&reader, "addresses"), routes = read_length(&reader, "routes");
	if (!reader.failed && (addresses > MAX_ADDRESSES || routes > MAX_ROUTES)) {
		napi_throw_range_error(env, NULL, "too many addresses or routes");
		reader.failed = true;
	}
	for (uint32_t i = 0; i < addresses && !reader.failed; i++) {
		struct reader element = read_element(&reader, "addresses", i);
		read_address_request(&element, &endpoint->addresses[endpoint->address_count++]);
		reader.failed = element.failed;
	}
	for (uint32_t i = 0; i < routes && !reader.failed; i++) {
		struct reader element = read_element(&reader, "routes", i);
		read_route_request(&element, &endpoint->routes[endpoint->route_count++]);
		reader.failed = element.failed;
	}
	if (read_field(&reader, "handle", &program)) {
		endpoint->program_fd = handle_dup(&reader, "handle", HANDLE_PROGRAM);
		// Room for the digits of an index.
		endpoint->pin_by_index = read_string(&reader, "pinPrefix", endpoint->pin, sizeof(endpoint->pin) - 11);
		if (!endpoint->pin_by_index)
			read_name(&reader, "pin", endpoint->pin, sizeof(endpoint->pin));
	}
	return job_start(&reader, &endpoint->job, "createEndpointInterface");
}
