// SPDX-License-Identifier: Apache-2.0
// Pinned links. The pin is the name of an attachment: what hangs there decides between creating, replacing the
// program in one step (no packet in between sees none), and doing nothing.
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Newer than the headers of Debian 12; libbpf passes them through.
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define LINK_TYPE_XDP 6
#define LINK_TYPE_TCX 11

struct pinned_link {
	int fd; // -1: nothing is pinned there
	uint32_t type, id, program_id, ifindex;
};

static int open_link(const char *pin, struct pinned_link *link, struct kernel_error *error)
{
	struct bpf_link_info info = { 0 };
	uint32_t length = sizeof(info);
	memset(link, 0, sizeof(*link));
	link->fd = bpf_obj_get(pin);
	if (link->fd < 0)
		return errno == ENOENT ? 0 : fail(error, errno, "open pinned link", pin, NULL);
	if (bpf_obj_get_info_by_fd(link->fd, &info, &length) != 0) {
		fail(error, errno, "read link", pin, NULL);
		close(link->fd);
		return -1;
	}
	link->type = info.type;
	link->id = info.id;
	link->program_id = info.prog_id;
	link->ifindex = info.xdp.ifindex; // tcx has it in the same place; 0 once the interface is gone
	return 0;
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);
	return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 ? info.id : 0;
}

// `reusable`: the link pinned there, if it is of this type and interface, has the right mode too.
static int attach(int program_fd, uint32_t ifindex, int attach_type, uint32_t flags, uint32_t type, bool reusable,
		  const char *pin, struct kernel_error *error)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	struct pinned_link link;
	int fd;
	if (open_link(pin, &link, error) != 0)
		return -1;
	if (link.fd >= 0 && link.type == type && link.ifindex == ifindex && reusable) {
		if (link.program_id != program_id(program_fd) && bpf_link_update(link.fd, program_fd, NULL) != 0)
			fail(error, errno, "replace program of link", pin, NULL);
		close(link.fd);
		return error->code == 0 ? 0 : -1;
	}
	if (link.fd >= 0) { // of another interface, or one that is gone
		if (unlink(pin) != 0)
			fail(error, errno, "remove stale link", pin, NULL);
		close(link.fd);
		if (error->code != 0)
			return -1;
	}
	fd = bpf_link_create(program_fd, (int)ifindex, attach_type, &options);
	if (fd < 0)
		return fail(error, errno, "attach link", pin, "%s (interface %u)", strerror(errno), ifindex);
	if (bpf_obj_pin(fd, pin) != 0)
		fail(error, errno, "pin link", pin, NULL);
	close(fd); // unpinned, the link goes with it
	return error->code == 0 ? 0 : -1;
}

int tcx_attach(int program_fd, uint32_t ifindex, bool egress, const char *pin, bool expedite,
	       struct kernel_error *error)
{
	int rc;
	if (expedite)
		rcu_expedite_begin();
	rc = attach(program_fd, ifindex, egress ? TCX_EGRESS : TCX_INGRESS, 0, LINK_TYPE_TCX, true, pin, error);
	if (expedite)
		rcu_expedite_end();
	return rc;
}

struct link_job {
	struct job job;
	int program_fd;
	uint32_t ifindex;
	bool egress, xdp, generic, expedite;
	char pin[PATH_SIZE], netns[PATH_SIZE];
	struct pinned_link found;
};

static void release_link(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	if (link->program_fd >= 0)
		close(link->program_fd);
}

static void run_attach(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	struct netlink netlink;
	struct link_info info;
	if (!link->xdp) {
		if (netns_enter(link->netns, &job->error) != 0)
			return;
		tcx_attach(link->program_fd, link->ifindex, link->egress, link->pin, link->expedite, &job->error);
		netns_leave(link->netns);
		return;
	}
	// A link cannot change its mode: one in the wrong mode is replaced, which does leave a gap.
	if (netlink_open(&netlink, link->netns, &job->error) != 0)
		return;
	int missing = link_get(&netlink, NULL, link->ifindex, &info, &job->error);
	netlink_close(&netlink);
	if (missing > 0)
		fail(&job->error, ENODEV, "attach link", link->pin, "there is no interface %u", link->ifindex);
	if (missing != 0 || netns_enter(link->netns, &job->error) != 0)
		return;
	attach(link->program_fd, link->ifindex, BPF_XDP, link->generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
	       LINK_TYPE_XDP, info.xdp_mode == (link->generic ? XDP_ATTACHED_SKB : XDP_ATTACHED_DRV), link->pin,
	       &job->error);
	netns_leave(link->netns);
}

static napi_value start_attach(napi_env env, napi_callback_info info, bool xdp)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = job_new(sizeof(*link));
	char word[16];
	link->job.run = run_attach;
	link->job.release = release_link;
	link->xdp = xdp;
	link->program_fd = handle_dup(&reader, "handle", HANDLE_PROGRAM);
	link->ifindex = read_u32(&reader, "ifindex", 0);
	read_name(&reader, "pin", link->pin, sizeof(link->pin));
	read_string(&reader, "netns", link->netns, sizeof(link->netns));
	read_string(&reader, xdp ? "mode" : "direction", word, sizeof(word));
	link->egress = strcmp(word, "egress") == 0;
	link->expedite = read_flag(&reader, "expedite") != 0;
	link->generic = strcmp(word, "generic") == 0;
	return job_start(&reader, &link->job, xdp ? "attachXdp" : "attachTcx");
}

// attachTcx({handle, ifindex, pin, direction: 'ingress'|'egress', netns?, expedite?})
napi_value link_attach_tcx(napi_env env, napi_callback_info info)
{
	return start_attach(env, info, false);
}

// attachXdp({handle, ifindex, pin, mode: 'native'|'generic', netns?})
napi_value link_attach_xdp(napi_env env, napi_callback_info info)
{
	return start_attach(env, info, true);
}

static void run_detach(struct job *job)
{
	struct link_job *link = (struct link_job *)job;
	if (open_link(link->pin, &link->found, &job->error) != 0 || link->found.fd < 0)
		return;
	// Unlinking is not enough when somebody else holds the link open.
	if (bpf_link_detach(link->found.fd) != 0 && errno != EOPNOTSUPP && errno != ENOLINK)
		fail(&job->error, errno, "detach link", link->pin, NULL);
	else if (unlink(link->pin) != 0)
		fail(&job->error, errno, "remove link", link->pin, NULL);
	close(link->found.fd);
}

static napi_value detach_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_get_boolean(env, ((struct link_job *)job)->found.fd >= 0, &value);
	return value;
}

// detach({pin}) -> whether there was one
napi_value link_detach(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct link_job *link = job_new(sizeof(*link));
	link->job.run = run_detach;
	link->job.result = detach_result;
	link->job.release = release_link;
	link->program_fd = -1;
	read_name(&reader, "pin", link->pin, sizeof(link->pin));
	return job_start(&reader, &link->job, "detach");
}

// linkInfo({pin}) -> {type, id, programId, ifindex} | undefined
napi_value link_read_info(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	struct pinned_link link;
	char pin[PATH_SIZE];
	napi_value object;
	read_name(&reader, "pin", pin, sizeof(pin));
	if (reader.failed)
		return NULL;
	if (open_link(pin, &link, &error) != 0) {
		throw_error(env, &error);
		return NULL;
	}
	if (link.fd < 0)
		return new_undefined(env);
	close(link.fd);
	object = new_object(env);
	set_string(env, object, "type", link.type == LINK_TYPE_TCX ? "tcx" : link.type == LINK_TYPE_XDP ? "xdp" : "other");
	set_number(env, object, "id", link.id);
	set_number(env, object, "programId", link.program_id);
	set_number(env, object, "ifindex", link.ifindex);
	return object;
}
