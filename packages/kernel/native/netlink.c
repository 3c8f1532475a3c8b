// SPDX-License-Identifier: Apache-2.0
// Requests over a route socket. libnl builds the messages; sending and receiving is done here, because libnl turns
// errno into its own codes and loses the kernel's explanation (extended acknowledgement).
#include "kernel.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE 65536
#define ATTEMPTS 8 // at a dump that was interrupted by a change

static __thread int own_fd = -1;
static __thread uint32_t sequence;
static __thread char *receive_buffer;

static int open_socket(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	struct timeval timeout = { .tv_sec = 10 };
	int one = 1, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int netlink_open(struct netlink *netlink, const char *netns, struct kernel_error *error)
{
	if (receive_buffer == NULL)
		receive_buffer = malloc(RECEIVE_SIZE);
	netlink->shared = netns[0] == '\0';
	if (netlink->shared && own_fd >= 0) {
		netlink->fd = own_fd;
		return 0;
	}
	if (receive_buffer == NULL)
		return fail(error, ENOMEM, "open netlink in", netns, NULL);
	if (netns_enter(netns, error) != 0)
		return -1;
	netlink->fd = open_socket();
	if (netlink->fd < 0)
		fail(error, errno, "open netlink in", netns, NULL);
	netns_leave(netns);
	if (netlink->shared)
		own_fd = netlink->fd;
	return netlink->fd < 0 ? -1 : 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink->shared && netlink->fd >= 0)
		close(netlink->fd);
	netlink->fd = -1;
}

void netlink_forget(void)
{
	if (own_fd >= 0)
		close(own_fd);
	own_fd = -1;
	free(receive_buffer);
	receive_buffer = NULL;
}

// After a failed send or receive an answer may still come, which must not meet the next request.
static void discard(struct netlink *netlink)
{
	close(netlink->fd);
	if (netlink->shared)
		own_fd = -1;
	netlink->shared = false;
	netlink->fd = -1;
}

struct nl_msg *netlink_message(int type, int flags, const void *header, size_t length)
{
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
	if (message == NULL || nlmsg_append(message, (void *)header, length, NLMSG_ALIGNTO) < 0)
		abort();
	return message;
}

static const char *explanation(struct nlmsghdr *header)
{
	struct nlmsgerr *answer = nlmsg_data(header);
	size_t offset = sizeof(*answer);
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		offset += answer->msg.nlmsg_len - sizeof(answer->msg);
	if (NLMSG_ALIGN(offset) >= (size_t)nlmsg_datalen(header))
		return NULL;
	struct nlattr *attribute = nla_find((struct nlattr *)((char *)answer + NLMSG_ALIGN(offset)),
					    nlmsg_datalen(header) - (int)NLMSG_ALIGN(offset), NLMSGERR_ATTR_MSG);
	return attribute != NULL ? nla_data(attribute) : NULL;
}

// One answer datagram. Returns 1 when the request is complete, 0 to receive more, -1 with an error recorded.
static int read_answer(int length, netlink_reply reply, void *context, bool *interrupted,
		       struct kernel_error *error, const char *operation, const char *object)
{
	struct nlmsghdr *header = (struct nlmsghdr *)receive_buffer;
	for (; nlmsg_ok(header, length); header = nlmsg_next(header, &length)) {
		if (header->nlmsg_seq != sequence)
			continue;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
			int code = 0;
			if (nlmsg_datalen(header) >= (int)sizeof(int))
				code = -*(int *)nlmsg_data(header);
			if (code == 0)
				return 1;
			const char *text = header->nlmsg_type == NLMSG_ERROR ? explanation(header) : NULL;
			return fail(error, code, operation, object, text != NULL ? "%s: %s" : NULL, strerror(code), text);
		}
		if (reply != NULL && reply(header, context) != 0)
			return -1;
	}
	return 0;
}

static int exchange(struct netlink *netlink, struct nl_msg *message, netlink_reply reply, void *context,
		    bool *interrupted, struct kernel_error *error, const char *operation, const char *object)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	int done = 0;
	*interrupted = false;
	header->nlmsg_seq = ++sequence;
	header->nlmsg_pid = 0;
	if (send(netlink->fd, header, header->nlmsg_len, 0) < 0) {
		fail(error, errno, operation, object, NULL);
		discard(netlink);
		return -1;
	}
	while (done == 0) {
		ssize_t length = recv(netlink->fd, receive_buffer, RECEIVE_SIZE, MSG_TRUNC);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 || length > RECEIVE_SIZE) {
			fail(error, length < 0 ? errno : EMSGSIZE, operation, object, NULL);
			discard(netlink);
			return -1;
		}
		done = read_answer((int)length, reply, context, interrupted, error, operation, object);
	}
	return done > 0 ? 0 : -1;
}

int netlink_request(struct netlink *netlink, struct nl_msg *message, netlink_reply reply, void *context,
		    struct kernel_error *error, const char *operation, const char *object)
{
	bool interrupted = false;
	int rc = -1;
	if ((nlmsg_hdr(message)->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
	// An interrupted dump is repeated: the reply callback must bear entries twice.
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		rc = exchange(netlink, message, reply, context, &interrupted, error, operation, object);
		if (rc != 0 || !interrupted)
			break;
	}
	nlmsg_free(message);
	return rc;
}
