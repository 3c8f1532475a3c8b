// SPDX-License-Identifier: Apache-2.0
// Loading one object: constants set by name, maps found again where they are pinned, every program loaded. Only the
// descriptors outlive the call; nothing of libbpf's object is kept.
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS_MAGIC 0xcafe4a11
#define MAX_PARTS 256 // maps, programs, constants and map settings of one object, each

struct constant {
	char name[NAME_SIZE];
	void *value;
	size_t length;
};

struct map_setting {
	char name[NAME_SIZE];
	uint32_t max_entries;
	int no_prealloc;
};

struct load_job {
	struct job job;
	char path[PATH_SIZE], pin_dir[PATH_SIZE], btf_custom[PATH_SIZE];
	struct constant constants[MAX_PARTS];
	struct map_setting settings[MAX_PARTS];
	struct handle *maps[MAX_PARTS], *programs[MAX_PARTS];
	uint32_t constant_count, setting_count, map_count, program_count;
};

static int set_constant(struct load_job *load, struct bpf_object *object, const struct constant *constant)
{
	struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map;
	struct kernel_error *error = &load->job.error;
	int section = btf != NULL ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *type = section > 0 ? btf__type_by_id(btf, section) : NULL;
	const struct btf_var_secinfo *variables = type != NULL ? btf_var_secinfos(type) : NULL;
	void *data = NULL;
	size_t size = 0;
	bpf_object__for_each_map(map, object) {
		const char *name = bpf_map__name(map);
		size_t length = strlen(name);
		if (bpf_map__is_internal(map) && length >= 7 && strcmp(name + length - 7, ".rodata") == 0)
			data = (void *)(uintptr_t)bpf_map__initial_value(map, &size); // writable, as skeletons use it
	}
	for (int i = 0; data != NULL && type != NULL && i < btf_vlen(type); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, variables[i].type);
		if (strcmp(btf__name_by_offset(btf, variable->name_off), constant->name) != 0)
			continue;
		if (variables[i].size != constant->length || variables[i].offset + (size_t)variables[i].size > size)
			return fail(error, EINVAL, "set constant", constant->name, "it has %u bytes, %zu were given",
				    variables[i].size, constant->length);
		memcpy((char *)data + variables[i].offset, constant->value, constant->length);
		return 0;
	}
	return fail(error, ENOENT, "set constant", constant->name, "%s has no such constant in .rodata", load->path);
}

static int apply_setting(struct load_job *load, struct bpf_object *object, const struct map_setting *setting)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, setting->name);
	int rc = 0;
	if (map == NULL)
		return fail(&load->job.error, ENOENT, "configure map", setting->name, "%s has no such map", load->path);
	if (setting->max_entries != 0)
		rc = bpf_map__set_max_entries(map, setting->max_entries);
	if (rc == 0 && setting->no_prealloc == 1)
		rc = bpf_map__set_map_flags(map, bpf_map__map_flags(map) | BPF_F_NO_PREALLOC);
	if (rc == 0 && setting->no_prealloc == 0)
		rc = bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~(uint32_t)BPF_F_NO_PREALLOC);
	return rc == 0 ? 0 : fail(&load->job.error, -rc, "configure map", setting->name, NULL);
}

// libbpf would reuse a pinned map too, but its refusal does not say what differs.
static int reuse_or_pin(struct load_job *load, struct bpf_map *map)
{
	struct kernel_error *error = &load->job.error;
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	char path[PATH_SIZE + NAME_SIZE];
	int fd, rc;
	bpf_map__set_pin_path(map, NULL);
	if (load->pin_dir[0] == '\0' || bpf_map__is_internal(map))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", load->pin_dir, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT) {
		rc = bpf_map__set_pin_path(map, path);
		return rc == 0 ? 0 : fail(error, -rc, "pin map", path, NULL);
	}
	if (fd < 0)
		return fail(error, errno, "open pinned map", path, NULL);
	if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
		fail(error, errno, "read pinned map", path, NULL);
	} else if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		   info.value_size != bpf_map__value_size(map) || info.map_flags != bpf_map__map_flags(map) ||
		   (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF && info.max_entries != bpf_map__max_entries(map)) ||
		   (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF && info.max_entries < bpf_map__max_entries(map))) {
		const char *have = libbpf_bpf_map_type_str(info.type);
		const char *want = libbpf_bpf_map_type_str(bpf_map__type(map));
		fail(error, EINVAL, "reuse pinned map", path,
		     "it is incompatible: pinned %s key=%u value=%u max_entries=%u flags=%#x, "
		     "wanted %s key=%u value=%u max_entries=%u flags=%#x",
		     have ? have : "?", info.key_size, info.value_size, info.max_entries, info.map_flags, want ? want : "?",
		     bpf_map__key_size(map), bpf_map__value_size(map), bpf_map__max_entries(map), bpf_map__map_flags(map));
	} else {
		rc = bpf_map__reuse_fd(map, fd);
		if (rc != 0)
			fail(error, -rc, "reuse pinned map", path, NULL);
	}
	close(fd); // libbpf took a duplicate
	return error->code == 0 ? 0 : -1;
}

static int prepare_pin_dir(struct load_job *load)
{
	struct statfs fs;
	if (load->pin_dir[0] == '\0')
		return 0;
	if (mkdir(load->pin_dir, 0700) != 0 && errno != EEXIST)
		return fail(&load->job.error, errno, "make directory", load->pin_dir, NULL);
	if (statfs(load->pin_dir, &fs) != 0)
		return fail(&load->job.error, errno, "inspect", load->pin_dir, NULL);
	if ((uint32_t)fs.f_type != BPFFS_MAGIC)
		return fail(&load->job.error, EINVAL, "pin maps", load->pin_dir, "it is not on a bpffs");
	return 0;
}

static int take_handles(struct load_job *load, struct bpf_object *object)
{
	struct kernel_error *error = &load->job.error;
	struct bpf_program *program;
	struct bpf_map *map;
	bpf_object__for_each_map(map, object) {
		if (load->map_count == MAX_PARTS)
			return fail(error, E2BIG, "load", load->path, "more than %d maps", MAX_PARTS);
		struct handle *handle = map_handle(dup(bpf_map__fd(map)), bpf_map__name(map), error);
		if (handle == NULL)
			return -1;
		load->maps[load->map_count++] = handle;
	}
	bpf_object__for_each_program(program, object) {
		if (load->program_count == MAX_PARTS)
			return fail(error, E2BIG, "load", load->path, "more than %d programs", MAX_PARTS);
		struct handle *handle = program_handle(dup(bpf_program__fd(program)), bpf_program__name(program), error);
		if (handle == NULL)
			return -1;
		load->programs[load->program_count++] = handle;
	}
	return 0;
}

static int load_steps(struct load_job *load, struct bpf_object *object)
{
	struct bpf_map *map;
	int rc;
	for (uint32_t i = 0; i < load->constant_count; i++)
		if (set_constant(load, object, &load->constants[i]) != 0)
			return -1;
	for (uint32_t i = 0; i < load->setting_count; i++)
		if (apply_setting(load, object, &load->settings[i]) != 0)
			return -1;
	bpf_object__for_each_map(map, object)
		if (reuse_or_pin(load, map) != 0)
			return -1;
	rc = bpf_object__load(object);
	if (rc != 0)
		return fail(&load->job.error, -rc, "load", load->path, NULL);
	return take_handles(load, object);
}

static void run(struct job *job)
{
	struct load_job *load = (struct load_job *)job;
	struct bpf_object *object;
	LIBBPF_OPTS(bpf_object_open_opts, options,
		    .btf_custom_path = load->btf_custom[0] != '\0' ? load->btf_custom : NULL);
	char *log;
	if (prepare_pin_dir(load) != 0)
		return;
	log_begin();
	object = bpf_object__open_file(load->path, &options);
	if (object == NULL) {
		fail(&job->error, errno, "open", load->path, NULL);
	} else {
		load_steps(load, object);
		bpf_object__close(object);
	}
	log = log_end();
	if (job->error.code != 0)
		job->error.log = log;
	else
		free(log);
}

static napi_value take_array(napi_env env, struct handle **handles, uint32_t count)
{
	napi_value array;
	napi_create_array_with_length(env, count, &array);
	for (uint32_t i = 0; i < count; i++) {
		napi_set_element(env, array, i, handle_to_js(env, handles[i]));
		handles[i] = NULL;
	}
	return array;
}

static napi_value result(napi_env env, struct job *job)
{
	struct load_job *load = (struct load_job *)job;
	napi_value object = new_object(env);
	set_value(env, object, "maps", take_array(env, load->maps, load->map_count));
	set_value(env, object, "programs", take_array(env, load->programs, load->program_count));
	return object;
}

static void release(struct job *job)
{
	struct load_job *load = (struct load_job *)job;
	for (uint32_t i = 0; i < MAX_PARTS; i++) {
		free(load->constants[i].value);
		handle_free(load->maps[i]);
		handle_free(load->programs[i]);
	}
}

// loadObject({path, pinDir?, btfCustom?, constants?: [{name, value}], maps?: [{name, maxEntries?, noPrealloc?}]})
napi_value object_load(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct load_job *load = job_new(sizeof(*load));
	load->job.run = run;
	load->job.result = result;
	load->job.release = release;
	read_name(&reader, "path", load->path, sizeof(load->path));
	read_string(&reader, "pinDir", load->pin_dir, sizeof(load->pin_dir));
	read_string(&reader, "btfCustom", load->btf_custom, sizeof(load->btf_custom));
	uint32_t constants = read_length(&reader, "constants"), settings = read_length(&reader, "maps");
	if (!reader.failed && (constants > MAX_PARTS || settings > MAX_PARTS)) {
		napi_throw_range_error(env, NULL, "too many constants or map settings");
		reader.failed = true;
	}
	for (uint32_t i = 0; i < constants && !reader.failed; i++) {
		struct reader element = read_element(&reader, "constants", i);
		struct constant *constant = &load->constants[load->constant_count++];
		void *data;
		read_name(&element, "name", constant->name, sizeof(constant->name));
		if (read_buffer(&element, "value", &data, &constant->length)) {
			constant->value = job_new(constant->length + 1);
			memcpy(constant->value, data, constant->length);
		}
		reader.failed = element.failed;
	}
	for (uint32_t i = 0; i < settings && !reader.failed; i++) {
		struct reader element = read_element(&reader, "maps", i);
		struct map_setting *setting = &load->settings[load->setting_count++];
		read_name(&element, "name", setting->name, sizeof(setting->name));
		setting->max_entries = read_u32(&element, "maxEntries", 0);
		setting->no_prealloc = read_flag(&element, "noPrealloc");
		reader.failed = element.failed;
	}
	return job_start(&reader, &load->job, "loadObject");
}

struct mount_job {
	struct job job;
	char path[PATH_SIZE];
};

static void run_mount(struct job *job)
{
	struct mount_job *mounting = (struct mount_job *)job;
	struct statfs fs;
	if (mkdir(mounting->path, 0700) != 0 && errno != EEXIST)
		fail(&job->error, errno, "make directory", mounting->path, NULL);
	else if (statfs(mounting->path, &fs) == 0 && (uint32_t)fs.f_type == BPFFS_MAGIC)
		return; // somebody keeps it for us
	else if (mount("bpf", mounting->path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
		fail(&job->error, errno, "mount bpffs on", mounting->path, NULL);
}

static void run_unmount(struct job *job)
{
	struct mount_job *mounting = (struct mount_job *)job;
	if (umount2(mounting->path, MNT_DETACH) != 0)
		fail(&job->error, errno, "unmount", mounting->path, NULL);
}

static napi_value start_mount(napi_env env, napi_callback_info info, void (*run)(struct job *), const char *name)
{
	struct reader reader = read_arguments(env, info);
	struct mount_job *mounting = job_new(sizeof(*mounting));
	mounting->job.run = run;
	read_name(&reader, "path", mounting->path, sizeof(mounting->path));
	return job_start(&reader, &mounting->job, name);
}

// mountBpffs({path}): makes the directory and mounts a bpffs of its own there, unless it lies on one already.
napi_value bpffs_mount(napi_env env, napi_callback_info info)
{
	return start_mount(env, info, run_mount, "mountBpffs");
}

napi_value path_unmount(napi_env env, napi_callback_info info)
{
	return start_mount(env, info, run_unmount, "unmount");
}
