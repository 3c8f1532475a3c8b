// SPDX-License-Identifier: Apache-2.0
// Network namespaces by path. A worker thread enters one for as few calls as possible (a socket, once open, stays in
// the namespace it was made in) and always comes back; a thread that cannot come back ends the process, because the
// next job on it would work in somebody else's namespace.
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static int home_fd = -1; // the process's own namespace

int netns_init(void)
{
	if (home_fd < 0)
		home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home_fd < 0 ? -1 : 0;
}

int netns_open(const char *path, struct kernel_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail(error, errno, "open namespace", path, NULL);
	return fd;
}

int netns_enter(const char *path, struct kernel_error *error)
{
	int fd;
	if (path[0] == '\0')
		return 0;
	fd = netns_open(path, error);
	if (fd < 0)
		return -1;
	if (setns(fd, CLONE_NEWNET) != 0)
		fail(error, errno, "enter namespace", path, errno == EINVAL ? "it is not a network namespace" : NULL);
	close(fd);
	return error->code == 0 ? 0 : -1;
}

static void come_home(void)
{
	if (setns(home_fd, CLONE_NEWNET) != 0) {
		perror("megrez: cannot return to the own network namespace");
		abort();
	}
}

void netns_leave(const char *path)
{
	if (path[0] != '\0') {
		int saved = errno;
		come_home();
		errno = saved;
	}
}

struct netns_job {
	struct job job;
	char path[PATH_SIZE];
};

static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = fd >= 0 ? ioctl(fd, SIOCSIFFLAGS, &request) : -1;
	if (fd >= 0)
		close(fd);
	return rc;
}

static void run_create(struct job *job)
{
	struct netns_job *netns = (struct netns_job *)job;
	int fd = open(netns->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0) {
		fail(&job->error, errno, "create namespace", netns->path, NULL);
		return;
	}
	close(fd);
	if (unshare(CLONE_NEWNET) != 0) {
		fail(&job->error, errno, "create namespace", netns->path, NULL);
	} else {
		if (loopback_up() != 0)
			fail(&job->error, errno, "set loopback up in", netns->path, NULL);
		else if (mount("/proc/thread-self/ns/net", netns->path, "none", MS_BIND, NULL) != 0)
			fail(&job->error, errno, "mount namespace on", netns->path, NULL);
		come_home();
	}
	if (job->error.code != 0)
		unlink(netns->path);
}

static void run_delete(struct job *job)
{
	struct netns_job *netns = (struct netns_job *)job;
	if (umount2(netns->path, MNT_DETACH) != 0 && errno != EINVAL)
		fail(&job->error, errno, "unmount namespace", netns->path, NULL);
	else if (unlink(netns->path) != 0)
		fail(&job->error, errno, "remove namespace", netns->path, NULL);
}

static napi_value start(napi_env env, napi_callback_info info, void (*run)(struct job *), const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct netns_job *netns = job_new(sizeof(*netns));
	netns->job.run = run;
	read_name(&reader, "path", netns->path, sizeof(netns->path));
	return job_start(&reader, &netns->job, name);
}

// createNetns({path}): a new namespace with lo up, kept alive by a bind mount on the new file `path`.
napi_value netns_create(napi_env env, napi_callback_info info)
{
	return start(env, info, run_create, "createNetns");
}

// deleteNetns({path}): takes the mount and the file away; the namespace goes when nothing else uses it.
napi_value netns_delete(napi_env env, napi_callback_info info)
{
	return start(env, info, run_delete, "deleteNetns");
}
