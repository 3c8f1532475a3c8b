// SPDX-License-Identifier: Apache-2.0
// Offloads and the driver's name, by the ethtool ioctl.
#include "kernel.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct feature {
	const char *name;
	uint32_t get, set;
} features[] = {
	{ "rx", ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM }, // checksum offloads first: they carry the others
	{ "tx", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM },
	{ "sg", ETHTOOL_GSG, ETHTOOL_SSG },
	{ "tso", ETHTOOL_GTSO, ETHTOOL_STSO },
	{ "gso", ETHTOOL_GGSO, ETHTOOL_SGSO },
	{ "gro", ETHTOOL_GGRO, ETHTOOL_SGRO },
};
#define FEATURES (sizeof(features) / sizeof(features[0]))

struct ethtool_job {
	struct job job;
	char netns[PATH_SIZE], name[16], driver[32];
	int wanted[FEATURES]; // -1: leave
	bool read;
};

static int control(struct ethtool_job *ethtool, int fd, void *data, const char *operation)
{
	struct ifreq request = { .ifr_data = data };
	memcpy(request.ifr_name, ethtool->name, sizeof(request.ifr_name));
	return ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : fail(&ethtool->job.error, errno, operation, ethtool->name, NULL);
}

static int open_socket(struct ethtool_job *ethtool)
{
	int fd;
	if (netns_enter(ethtool->netns, &ethtool->job.error) != 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail(&ethtool->job.error, errno, "open socket for", ethtool->name, NULL);
	netns_leave(ethtool->netns);
	return fd;
}

static void run_features(struct job *job)
{
	struct ethtool_job *ethtool = (struct ethtool_job *)job;
	int fd = open_socket(ethtool);
	if (fd < 0)
		return;
	for (size_t i = 0; i < FEATURES && job->error.code == 0; i++) {
		struct ethtool_value value = { .cmd = ethtool->read ? features[i].get : features[i].set,
					       .data = ethtool->wanted[i] == 1 };
		if (!ethtool->read && ethtool->wanted[i] < 0)
			continue;
		if (control(ethtool, fd, &value, ethtool->read ? "read features of" : "set features of") == 0 && ethtool->read)
			ethtool->wanted[i] = value.data != 0;
	}
	close(fd);
}

static napi_value features_result(napi_env env, struct job *job)
{
	struct ethtool_job *ethtool = (struct ethtool_job *)job;
	napi_value object;
	if (!ethtool->read)
		return new_undefined(env);
	object = new_object(env);
	for (size_t i = 0; i < FEATURES; i++)
		set_bool(env, object, features[i].name, ethtool->wanted[i] == 1);
	return object;
}

static napi_value start_features(napi_env env, napi_callback_info info, bool read, const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct ethtool_job *ethtool = job_new(sizeof(*ethtool));
	ethtool->job.run = run_features;
	ethtool->job.result = features_result;
	ethtool->read = read;
	read_string(&reader, "netns", ethtool->netns, sizeof(ethtool->netns));
	read_name(&reader, "name", ethtool->name, sizeof(ethtool->name));
	for (size_t i = 0; i < FEATURES; i++)
		ethtool->wanted[i] = read_flag(&reader, features[i].name);
	return job_start(&reader, &ethtool->job, name);
}

// setFeatures({name, netns?, rx?, tx?, sg?, tso?, gso?, gro?})
napi_value ethtool_set_features(napi_env env, napi_callback_info info)
{
	return start_features(env, info, false, "setFeatures");
}

// getFeatures({name, netns?}) -> {rx, tx, sg, tso, gso, gro}
napi_value ethtool_get_features(napi_env env, napi_callback_info info)
{
	return start_features(env, info, true, "getFeatures");
}

static void run_driver(struct job *job)
{
	struct ethtool_job *ethtool = (struct ethtool_job *)job;
	struct ethtool_drvinfo facts = { .cmd = ETHTOOL_GDRVINFO };
	int fd = open_socket(ethtool);
	if (fd < 0)
		return;
	if (control(ethtool, fd, &facts, "read driver of") == 0)
		memcpy(ethtool->driver, facts.driver, sizeof(ethtool->driver) - 1);
	close(fd);
}

static napi_value driver_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_create_string_utf8(env, ((struct ethtool_job *)job)->driver, NAPI_AUTO_LENGTH, &value);
	return value;
}

// driverOf({name, netns?}) -> 'veth', 'virtio_net', ...
napi_value ethtool_driver(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct ethtool_job *ethtool = job_new(sizeof(*ethtool));
	ethtool->job.run = run_driver;
	ethtool->job.result = driver_result;
	read_string(&reader, "netns", ethtool->netns, sizeof(ethtool->netns));
	read_name(&reader, "name", ethtool->name, sizeof(ethtool->name));
	return job_start(&reader, &ethtool->job, "driverOf");
}
