// SPDX-License-Identifier: Apache-2.0
// A namespace's changes of one kind, as the kernel tells them to everybody who listens.
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct subscription {
	int fd;
	void *(*take)(struct nlmsghdr *header);
	char buffer[32768];
};

static int drain(struct watch *watch, void *context)
{
	struct subscription *subscription = context;
	ssize_t received = recv(subscription->fd, subscription->buffer, sizeof(subscription->buffer), MSG_DONTWAIT);
	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (received < 0) {
		int code = errno; // after ENOBUFS the reader must look at everything it cares for
		return watch_send(watch, subscription->take(NULL)) != 0 || code != ENOBUFS;
	}
	int length = (int)received;
	for (struct nlmsghdr *header = (struct nlmsghdr *)subscription->buffer; nlmsg_ok(header, length);
	     header = nlmsg_next(header, &length)) {
		void *record = subscription->take(header);
		if (record != NULL && watch_send(watch, record) != 0)
			return 1;
	}
	return 0;
}

static void close_subscription(void *context)
{
	struct subscription *subscription = context;
	close(subscription->fd);
	free(subscription);
}

// Reads {netns?, onChange}. `take` makes a record of a message, NULL when it does not matter; without a message, the
// record that says that some were lost.
napi_value subscribe(napi_env env, napi_callback_info info, const char *what, uint32_t groups,
		     void *(*take)(struct nlmsghdr *header), napi_value (*to_js)(napi_env env, void *record))
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	struct subscription *subscription;
	char netns[PATH_SIZE];
	napi_value callback = NULL;
	int fd = -1;
	read_string(&reader, "netns", netns, sizeof(netns));
	read_field(&reader, "onChange", &callback);
	if (reader.failed)
		return NULL;
	if (netns_enter(netns, &error) == 0) {
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
			fail(&error, errno, "watch", what, NULL);
		netns_leave(netns);
	}
	if (error.code != 0) {
		if (fd >= 0)
			close(fd);
		throw_error(env, &error);
		return NULL;
	}
	subscription = job_new(sizeof(*subscription));
	subscription->fd = fd;
	subscription->take = take;
	return watch_start(env, callback, what,
			   (struct watch_source){ .fd = fd,
						  .drain = drain,
						  .to_js = to_js,
						  .close = close_subscription,
						  .context = subscription });
}
