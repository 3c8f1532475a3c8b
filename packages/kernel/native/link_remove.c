// SPDX-License-Identifier: Apache-2.0
// Removing an interface. The request ends when the kernel has freed it: an RCU barrier of tens of milliseconds, and of
// hundreds when the CPUs are busy. It is in no list long before, its name and its place are free; so a thread of its own
// stays with the request, and the caller goes on as soon as nobody finds the interface any more.
#include "kernel.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_THREADS 64 // more at once wait in the caller
#define STACK_SIZE (64 * 1024)
#define LOOK_AGAIN_NS 500000

struct removal {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended, abandoned;
	char netns[PATH_SIZE];
	struct link_info info;
	struct kernel_error refusal;
};

static atomic_int threads;

static void removal_free(struct removal *removal)
{
	error_free(&removal->refusal);
	pthread_cond_destroy(&removal->changed);
	pthread_mutex_destroy(&removal->lock);
	free(removal);
}

static void *stay(void *context)
{
	struct removal *removal = context;
	struct netlink netlink;
	if (netlink_open(&netlink, removal->netns, &removal->refusal) == 0) {
		link_delete(&netlink, removal->info.ifindex, removal->info.name, &removal->refusal);
		netlink_close(&netlink);
	}
	netlink_forget();
	pthread_mutex_lock(&removal->lock);
	removal->ended = true;
	bool last = removal->abandoned;
	pthread_cond_signal(&removal->changed);
	pthread_mutex_unlock(&removal->lock);
	if (last)
		removal_free(removal);
	threads--;
	return NULL;
}

static int start_thread(struct removal *removal)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int rc;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attributes, stay, removal);
	pthread_attr_destroy(&attributes);
	return rc;
}

// Whether the request ended first; else it is left to its thread.
static bool wait_until_gone(struct removal *removal, struct netlink *netlink)
{
	struct kernel_error ignored = { 0 };
	struct link_info found;
	for (bool gone = false;;) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_AGAIN_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_mutex_lock(&removal->lock);
		if (!removal->ended && !gone)
			pthread_cond_timedwait(&removal->changed, &removal->lock, &until);
		bool ended = removal->ended;
		removal->abandoned = gone && !ended;
		pthread_mutex_unlock(&removal->lock);
		if (ended || gone)
			return ended;
		// Waits for the kernel's lock while the removal holds it.
		gone = link_get(netlink, NULL, removal->info.ifindex, &found, &ignored) == 1;
		error_free(&ignored);
	}
}

// Returns 0, or 1 when it went by itself; refusals are recorded.
int link_remove_and_leave(struct netlink *netlink, const char *netns, const struct link_info *info,
			  struct kernel_error *error)
{
	struct kernel_error refusal = { 0 };
	struct removal *removal;
	if (threads++ >= MAX_THREADS || (removal = calloc(1, sizeof(*removal))) == NULL) {
		threads--;
		link_delete(netlink, info->ifindex, info->name, &refusal);
	} else {
		pthread_mutex_init(&removal->lock, NULL);
		pthread_cond_init(&removal->changed, NULL);
		strcpy(removal->netns, netns);
		removal->info = *info;
		// What waits under the kernel's lock, programs being taken off, is worth an interrupt; the barrier is not.
		rcu_expedite_begin();
		if (start_thread(removal) != 0) {
			threads--;
			removal_free(removal);
			link_delete(netlink, info->ifindex, info->name, &refusal);
		} else if (wait_until_gone(removal, netlink)) {
			refusal = removal->refusal;
			removal->refusal = (struct kernel_error){ 0 };
			removal_free(removal);
		}
		rcu_expedite_end();
	}
	if (refusal.code == ENODEV) {
		error_free(&refusal);
		return 1;
	}
	if (refusal.code != 0)
		*error = refusal;
	return 0;
}
