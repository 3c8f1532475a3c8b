// SPDX-License-Identifier: Apache-2.0
// /proc/sys and /sys/class/net of a namespace. /proc/sys/net shows the namespace of the thread that opens the file;
// sysfs that of the thread that mounted it, so a detached mount is made for the purpose.
#include "kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static int open_sysctl(const char *netns, const char *path, int mode, struct kernel_error *error)
{
	char file[PATH_SIZE + 16];
	int fd;
	if (strstr(path, "..") != NULL || path[0] == '/')
		return fail(error, EINVAL, "open sysctl", path, "it must be a path below /proc/sys");
	snprintf(file, sizeof(file), "/proc/sys/%s", path);
	if (netns_enter(netns, error) != 0)
		return -1;
	fd = open(file, mode | O_CLOEXEC);
	if (fd < 0)
		fail(error, errno, "open sysctl", path, NULL);
	netns_leave(netns);
	return fd;
}

int sysctl_write(const char *netns, const char *path, const char *value, struct kernel_error *error)
{
	int fd = open_sysctl(netns, path, O_WRONLY, error);
	if (fd < 0)
		return -1;
	if (write(fd, value, strlen(value)) < 0)
		fail(error, errno, "set sysctl", path, NULL);
	close(fd);
	return error->code == 0 ? 0 : -1;
}

struct sysctl_job {
	struct job job;
	char netns[PATH_SIZE], path[PATH_SIZE], value[256];
};

static void run_set(struct job *job)
{
	struct sysctl_job *sysctl = (struct sysctl_job *)job;
	sysctl_write(sysctl->netns, sysctl->path, sysctl->value, &job->error);
}

static void run_get(struct job *job)
{
	struct sysctl_job *sysctl = (struct sysctl_job *)job;
	int fd = open_sysctl(sysctl->netns, sysctl->path, O_RDONLY, &job->error);
	ssize_t length;
	if (fd < 0)
		return;
	length = read(fd, sysctl->value, sizeof(sysctl->value) - 1);
	if (length < 0)
		fail(&job->error, errno, "read sysctl", sysctl->path, NULL);
	while (length > 0 && sysctl->value[length - 1] == '\n')
		sysctl->value[--length] = '\0';
	close(fd);
}

static napi_value get_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_create_string_utf8(env, ((struct sysctl_job *)job)->value, NAPI_AUTO_LENGTH, &value);
	return value;
}

static int open_sysfs(const char *netns, struct kernel_error *error)
{
	int context, fd = -1;
	if (netns_enter(netns, error) != 0)
		return -1;
	context = fsopen("sysfs", FSOPEN_CLOEXEC);
	if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		fail(error, errno, "mount sysfs of", netns, NULL);
	if (context >= 0)
		close(context);
	netns_leave(netns);
	return fd;
}

static void write_queues(DIR *queues, struct sysctl_job *sysctl)
{
	struct dirent *entry;
	char file[300];
	while (sysctl->job.error.code == 0 && (entry = readdir(queues)) != NULL) {
		if (strncmp(entry->d_name, "rx-", 3) != 0)
			continue;
		snprintf(file, sizeof(file), "%s/rps_cpus", entry->d_name);
		int fd = openat(dirfd(queues), file, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, sysctl->value, strlen(sysctl->value)) < 0)
			fail(&sysctl->job.error, errno, "set RPS of", sysctl->path, NULL);
		if (fd >= 0)
			close(fd);
	}
}

static void run_rps(struct job *job)
{
	struct sysctl_job *sysctl = (struct sysctl_job *)job;
	char directory[PATH_SIZE + 32];
	int mount_fd = open_sysfs(sysctl->netns, &job->error), fd;
	DIR *queues = NULL;
	if (mount_fd < 0)
		return;
	snprintf(directory, sizeof(directory), "class/net/%s/queues", sysctl->path);
	fd = openat(mount_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (queues = fdopendir(fd)) == NULL)
		fail(&job->error, errno == ENOENT ? ENODEV : errno, "set RPS of", sysctl->path, NULL);
	if (queues != NULL) {
		write_queues(queues, sysctl);
		closedir(queues);
	}
	close(mount_fd);
}

static napi_value start(napi_env env, napi_callback_info info, void (*run)(struct job *), const char *path,
			const char *value, const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct sysctl_job *sysctl = job_new(sizeof(*sysctl));
	sysctl->job.run = run;
	read_string(&reader, "netns", sysctl->netns, sizeof(sysctl->netns));
	read_name(&reader, path, sysctl->path, sizeof(sysctl->path));
	if (value != NULL)
		read_name(&reader, value, sysctl->value, sizeof(sysctl->value));
	else
		sysctl->job.result = get_result;
	return job_start(&reader, &sysctl->job, name);
}

// setSysctl({netns?, path: 'net/ipv4/ip_forward', value: '1'})
napi_value sysctl_set(napi_env env, napi_callback_info info)
{
	return start(env, info, run_set, "path", "value", "setSysctl");
}

// getSysctl({netns?, path}) -> string without its line end
napi_value sysctl_get(napi_env env, napi_callback_info info)
{
	return start(env, info, run_get, "path", NULL, "getSysctl");
}

// setRps({netns?, name, cpus: 'f'}): the hexadecimal CPU mask, for every receive queue of the interface
napi_value sysctl_set_rps(napi_env env, napi_callback_info info)
{
	return start(env, info, run_rps, "name", "cpus", "setRps");
}
