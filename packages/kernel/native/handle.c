// SPDX-License-Identifier: Apache-2.0
// Descriptors of maps and programs, as externals: closed explicitly, or with the garbage. A job works on its own
// duplicate, so that closing never pulls a descriptor from under it.
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void handle_free(struct handle *handle)
{
	if (handle == NULL)
		return;
	if (handle->fd >= 0)
		close(handle->fd);
	free(handle);
}

static void finalize(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	handle_free(data);
}

static bool is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

struct handle *map_handle(int fd, const char *name, struct kernel_error *error)
{
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	struct handle *handle;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
		fail(error, errno, "read map", name, NULL);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	handle = job_new(sizeof(*handle));
	handle->kind = HANDLE_MAP;
	handle->fd = fd;
	handle->id = info.id;
	handle->type = info.type;
	handle->key_size = info.key_size;
	handle->value_size = info.value_size;
	handle->max_entries = info.max_entries;
	if (is_per_cpu(info.type))
		handle->value_size = ((info.value_size + 7) & ~7u) * (uint32_t)libbpf_num_possible_cpus();
	snprintf(handle->name, sizeof(handle->name), "%s", name[0] != '\0' ? name : info.name);
	return handle;
}

struct handle *program_handle(int fd, const char *name, struct kernel_error *error)
{
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);
	struct handle *handle;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
		fail(error, errno, "read program", name, NULL);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	handle = job_new(sizeof(*handle));
	handle->kind = HANDLE_PROGRAM;
	handle->fd = fd;
	handle->id = info.id;
	handle->type = info.type;
	snprintf(handle->name, sizeof(handle->name), "%s", name[0] != '\0' ? name : info.name);
	return handle;
}

napi_value handle_to_js(napi_env env, struct handle *handle)
{
	napi_value external = NULL, object = new_object(env);
	const char *type = handle->kind == HANDLE_MAP ? libbpf_bpf_map_type_str(handle->type) :
							libbpf_bpf_prog_type_str(handle->type);
	if (napi_create_external(env, handle, finalize, NULL, &external) != napi_ok) {
		handle_free(handle);
		return new_undefined(env);
	}
	set_value(env, object, "handle", external);
	set_string(env, object, "name", handle->name);
	set_string(env, object, "type", type != NULL ? type : "unknown");
	set_number(env, object, "id", handle->id);
	if (handle->kind == HANDLE_MAP) {
		set_number(env, object, "keySize", handle->key_size);
		set_number(env, object, "valueSize", handle->value_size);
		set_number(env, object, "maxEntries", handle->max_entries);
	}
	return object;
}

struct handle *handle_from_js(napi_env env, napi_value value, enum handle_kind kind)
{
	void *data = NULL;
	struct handle *handle;
	napi_valuetype type = napi_undefined;
	napi_typeof(env, value, &type);
	if (type != napi_external || napi_get_value_external(env, value, &data) != napi_ok || data == NULL ||
	    ((struct handle *)data)->kind != kind) {
		napi_throw_type_error(env, NULL, kind == HANDLE_MAP ? "not a map handle" : "not a program handle");
		return NULL;
	}
	handle = data;
	if (handle->fd < 0) {
		struct kernel_error error = { 0 };
		fail(&error, EBADF, "use", handle->name, "the handle is closed");
		throw_error(env, &error);
		return NULL;
	}
	return handle;
}

struct handle *read_handle(struct reader *reader, const char *field, enum handle_kind kind)
{
	napi_value value = NULL;
	struct handle *handle;
	if (reader->failed)
		return NULL;
	if (!read_field(reader, field, &value))
		value = new_undefined(reader->env);
	handle = handle_from_js(reader->env, value, kind);
	if (handle == NULL)
		reader->failed = true;
	return handle;
}

int handle_dup(struct reader *reader, const char *field, enum handle_kind kind)
{
	struct handle *handle = read_handle(reader, field, kind);
	int fd;
	if (handle == NULL)
		return -1;
	fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		struct kernel_error error = { 0 };
		fail(&error, errno, "duplicate", handle->name, NULL);
		throw_error(reader->env, &error);
		reader->failed = true;
	}
	return fd;
}

// close(handle): closing twice is no error.
napi_value handle_close(napi_env env, napi_callback_info info)
{
	size_t count = 1;
	napi_value value;
	void *data = NULL;
	napi_get_cb_info(env, info, &count, &value, NULL, NULL);
	if (napi_get_value_external(env, value, &data) == napi_ok && data != NULL) {
		struct handle *handle = data;
		if (handle->fd >= 0)
			close(handle->fd);
		handle->fd = -1;
	}
	return NULL;
}
