// SPDX-License-Identifier: Apache-2.0
// Programs: facts, pins, and running one on a packet (BPF_PROG_TEST_RUN).
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_OUT_EXTRA 512

static napi_value throw_errno(napi_env env, const char *operation, const char *object)
{
	struct kernel_error error = { 0 };
	fail(&error, errno, operation, object, NULL);
	throw_error(env, &error);
	return NULL;
}

// openPinnedProgram({path})
napi_value program_open_pinned(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	struct handle *handle = NULL;
	char path[PATH_SIZE];
	int fd;
	read_name(&reader, "path", path, sizeof(path));
	if (reader.failed)
		return NULL;
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail(&error, errno, "open pinned program", path, NULL);
	else
		handle = program_handle(fd, "", &error);
	if (handle != NULL)
		return handle_to_js(env, handle);
	throw_error(env, &error);
	return NULL;
}

// programInfo({handle})
napi_value program_info(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct handle *program = read_handle(&reader, "handle", HANDLE_PROGRAM);
	struct bpf_prog_info facts = { 0 };
	uint32_t length = sizeof(facts);
	char tag[2 * BPF_TAG_SIZE + 1];
	napi_value object;
	if (reader.failed)
		return NULL;
	if (bpf_obj_get_info_by_fd(program->fd, &facts, &length) != 0)
		return throw_errno(env, "read program", program->name);
	for (int i = 0; i < BPF_TAG_SIZE; i++)
		snprintf(tag + 2 * i, 3, "%02x", facts.tag[i]);
	object = new_object(env);
	set_number(env, object, "id", facts.id);
	set_string(env, object, "tag", tag);
	set_string(env, object, "name", program->name);
	set_number(env, object, "verifiedInstructions", facts.verified_insns);
	set_number(env, object, "jitedBytes", facts.jited_prog_len);
	set_number(env, object, "xlatedBytes", facts.xlated_prog_len);
	set_number(env, object, "loadTime_ns", (double)facts.load_time);
	set_number(env, object, "runTime_ns", (double)facts.run_time_ns);
	set_number(env, object, "runCount", (double)facts.run_cnt);
	return object;
}

// programPin({handle, path})
napi_value program_pin(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct handle *program = read_handle(&reader, "handle", HANDLE_PROGRAM);
	char path[PATH_SIZE];
	read_name(&reader, "path", path, sizeof(path));
	if (!reader.failed && bpf_obj_pin(program->fd, path) != 0)
		return throw_errno(env, "pin program", path);
	return NULL;
}

struct test_run_job {
	struct job job;
	int fd;
	uint32_t type, repeat, retval, duration_ns;
	char name[NAME_SIZE], netns[PATH_SIZE];
	void *data, *data_out, *context_out;
	size_t data_length, data_out_size;
	union {
		struct __sk_buff skb;
		struct xdp_md xdp;
		char raw[256];
	} context;
	uint32_t context_length;
};

static void run_test(struct job *job)
{
	struct test_run_job *test = (struct test_run_job *)job;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = test->data, .data_size_in = (uint32_t)test->data_length,
		    .data_out = test->data_out, .data_size_out = (uint32_t)test->data_out_size, .repeat = (int)test->repeat);
	if (test->context_length != 0) {
		options.ctx_in = &test->context;
		options.ctx_out = test->context_out;
		options.ctx_size_in = options.ctx_size_out = test->context_length;
	}
	// The namespace decides which interface indexes the packet can come from.
	if (netns_enter(test->netns, &job->error) != 0)
		return;
	if (bpf_prog_test_run_opts(test->fd, &options) != 0)
		fail(&job->error, errno, "test-run", test->name, errno == ENOSPC ? "dataOutSize is too small: the packet has %u bytes" : NULL,
		     options.data_size_out);
	netns_leave(test->netns);
	test->retval = options.retval;
	test->duration_ns = options.duration;
	test->data_out_size = options.data_size_out;
}

static napi_value test_result(napi_env env, struct job *job)
{
	struct test_run_job *test = (struct test_run_job *)job;
	napi_value object = new_object(env);
	set_number(env, object, "retval", (int32_t)test->retval);
	set_number(env, object, "duration_ns", test->duration_ns);
	set_buffer(env, object, "data", test->data_out, test->data_out_size);
	test->data_out = NULL;
	if (test->context_length != 0) {
		set_buffer(env, object, "ctx", test->context_out, test->context_length);
		test->context_out = NULL;
	}
	return object;
}

static void release_test(struct job *job)
{
	struct test_run_job *test = (struct test_run_job *)job;
	if (test->fd >= 0)
		close(test->fd);
	free(test->data_out);
	free(test->context_out);
}

static void read_context(struct reader *reader, struct test_run_job *test)
{
	napi_value value;
	bool raw = false;
	void *data;
	size_t length;
	if (!read_field(reader, "ctx", &value))
		return;
	napi_is_buffer(reader->env, value, &raw);
	if (raw) {
		if (read_buffer(reader, "ctx", &data, &length) && length <= sizeof(test->context)) {
			memcpy(&test->context, data, length);
			test->context_length = (uint32_t)length;
		} else if (!reader->failed) {
			napi_throw_range_error(reader->env, "ERR_BUFFER_LENGTH", "ctx is too long");
			reader->failed = true;
		}
		return;
	}
	struct reader fields = read_object(reader, "ctx");
	if (test->type == BPF_PROG_TYPE_XDP) {
		test->context.xdp.data_end = (uint32_t)test->data_length;
		test->context.xdp.ingress_ifindex = read_u32(&fields, "ingressIfindex", 0);
		test->context.xdp.rx_queue_index = read_u32(&fields, "rxQueueIndex", 0);
		test->context_length = sizeof(test->context.xdp);
	} else {
		struct __sk_buff *skb = &test->context.skb;
		skb->ifindex = read_u32(&fields, "ifindex", 0);
		skb->ingress_ifindex = read_u32(&fields, "ingressIfindex", 0);
		skb->mark = read_u32(&fields, "mark", 0);
		skb->priority = read_u32(&fields, "priority", 0);
		skb->gso_size = read_u32(&fields, "gsoSize", 0);
		skb->gso_segs = read_u32(&fields, "gsoSegs", 0);
		skb->wire_len = read_u32(&fields, "wireLen", 0);
		test->context_length = sizeof(*skb);
	}
	reader->failed |= fields.failed;
}

// testRun({handle, data, repeat?, ctx?, dataOutSize?, netns?}) -> {retval, data, duration_ns, ctx?}
napi_value program_test_run(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct test_run_job *test = job_new(sizeof(*test));
	struct handle *program = read_handle(&reader, "handle", HANDLE_PROGRAM);
	test->job.run = run_test;
	test->job.result = test_result;
	test->job.release = release_test;
	test->fd = handle_dup(&reader, "handle", HANDLE_PROGRAM);
	if (!job_keep(&reader, &test->job, 0, "data", &test->data, &test->data_length) && !reader.failed) {
		napi_throw_type_error(env, NULL, "data must be a Buffer");
		reader.failed = true;
	}
	if (program != NULL) {
		test->type = program->type;
		memcpy(test->name, program->name, sizeof(test->name));
	}
	test->repeat = read_u32(&reader, "repeat", 1);
	test->data_out_size = read_u32(&reader, "dataOutSize", (uint32_t)test->data_length + DATA_OUT_EXTRA);
	read_string(&reader, "netns", test->netns, sizeof(test->netns));
	read_context(&reader, test);
	test->data_out = job_new(test->data_out_size + 1);
	test->context_out = job_new(sizeof(test->context));
	return job_start(&reader, &test->job, "testRun");
}
