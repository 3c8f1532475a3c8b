// SPDX-License-Identifier: Apache-2.0
// Maps: one entry at a time on the calling thread, many on a worker.
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_DEFAULT 4096
#define UPDATE_CHUNK 65536
#define SMALL_VALUE 4096
#define LAST_MAP_TYPE 64

static bool no_batch(int code)
{
	return code == 524 /* ENOTSUPP */ || code == EOPNOTSUPP || code == EINVAL;
}

// ---- one entry: mapLookup(handle, key), mapUpdate(handle, key, value, flags), mapDelete(handle, key)
static bool read_exact(napi_env env, napi_value value, const struct handle *map, const char *what, size_t size, void **data)
{
	bool is_buffer = false;
	size_t length = 0;
	char text[160];
	napi_is_buffer(env, value, &is_buffer);
	if (!is_buffer || napi_get_buffer_info(env, value, data, &length) != napi_ok) {
		snprintf(text, sizeof(text), "%s: the %s must be a Buffer", map->name, what);
		napi_throw_type_error(env, NULL, text);
		return false;
	}
	if (length != size) {
		snprintf(text, sizeof(text), "%s: the %s has %zu bytes, the map wants %zu", map->name, what, length, size);
		napi_throw_range_error(env, "ERR_BUFFER_LENGTH", text);
		return false;
	}
	return true;
}

static napi_value throw_errno(napi_env env, const char *operation, const char *object)
{
	struct kernel_error error = { 0 };
	fail(&error, errno, operation, object, NULL);
	throw_error(env, &error);
	return NULL;
}

napi_value map_lookup(napi_env env, napi_callback_info info)
{
	napi_value arguments[2], result = NULL;
	size_t count = 2;
	void *key, *value = NULL;
	char small[SMALL_VALUE];
	int rc;
	napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	struct handle *map = handle_from_js(env, arguments[0], HANDLE_MAP);
	if (map == NULL || !read_exact(env, arguments[1], map, "key", map->key_size, &key))
		return NULL;
	// A Buffer of its own costs more than the lookup: none for a key that is absent.
	if (map->value_size > sizeof(small) && napi_create_buffer(env, map->value_size, &value, &result) != napi_ok)
		return NULL;
	rc = bpf_map_lookup_elem(map->fd, key, value != NULL ? value : small);
	if (rc != 0)
		return errno == ENOENT ? new_undefined(env) : throw_errno(env, "look up in map", map->name);
	if (value == NULL && napi_create_buffer_copy(env, map->value_size, small, NULL, &result) != napi_ok)
		return NULL;
	return result;
}

napi_value map_update(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	size_t count = 4;
	void *key, *value;
	double flags = 0;
	napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	struct handle *map = handle_from_js(env, arguments[0], HANDLE_MAP);
	if (map == NULL || !read_exact(env, arguments[1], map, "key", map->key_size, &key) ||
	    !read_exact(env, arguments[2], map, "value", map->value_size, &value))
		return NULL;
	napi_get_value_double(env, arguments[3], &flags);
	if (bpf_map_update_elem(map->fd, key, value, (uint64_t)flags) != 0)
		return throw_errno(env, "update map", map->name);
	return NULL;
}

napi_value map_delete(napi_env env, napi_callback_info info)
{
	napi_value arguments[2], result;
	size_t count = 2;
	void *key;
	int rc;
	napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	struct handle *map = handle_from_js(env, arguments[0], HANDLE_MAP);
	if (map == NULL || !read_exact(env, arguments[1], map, "key", map->key_size, &key))
		return NULL;
	rc = bpf_map_delete_elem(map->fd, key);
	if (rc != 0 && errno != ENOENT)
		return throw_errno(env, "delete from map", map->name);
	napi_get_boolean(env, rc == 0, &result);
	return result;
}

// ---- many entries
struct map_job {
	struct job job;
	int fd;
	uint32_t key_size, value_size, max_entries, batch;
	char name[NAME_SIZE], path[PATH_SIZE];
	char *found;	     // of a lookup: 1 for each key that is there
	char *keys, *values; // the caller's for updates and deletes, ours (malloc) for entries
	size_t count, capacity;
	bool keep_entries; // false: only count them
	uint64_t flags;
};

static void release_map(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	if (map->fd >= 0)
		close(map->fd);
	if (job->kept[0] == NULL) {
		free(map->keys);
		free(map->values);
	}
}

static struct map_job *new_map_job(struct reader *reader, void (*run)(struct job *),
				   napi_value (*result)(napi_env, struct job *))
{
	struct map_job *map = job_new(sizeof(*map));
	struct handle *handle = read_handle(reader, "handle", HANDLE_MAP);
	map->job.run = run;
	map->job.result = result;
	map->job.release = release_map;
	map->fd = handle_dup(reader, "handle", HANDLE_MAP);
	if (handle != NULL) {
		map->key_size = handle->key_size;
		map->value_size = handle->value_size;
		map->max_entries = handle->max_entries;
		memcpy(map->name, handle->name, sizeof(map->name));
	}
	return map;
}

static void range_error(struct reader *reader, struct map_job *map, const char *what, size_t length, size_t wanted)
{
	char text[192];
	if (reader->failed)
		return;
	snprintf(text, sizeof(text), "%s: the %s have %zu bytes, not a multiple of %zu, or not one for each key", map->name, what,
		 length, wanted);
	napi_throw_range_error(reader->env, "ERR_BUFFER_LENGTH", text);
	reader->failed = true;
}

static void keep_keys(struct reader *reader, struct map_job *map)
{
	void *data = NULL;
	size_t length = 0;
	if (!job_keep(reader, &map->job, 0, "keys", &data, &length)) {
		if (!reader->failed)
			napi_throw_type_error(reader->env, NULL, "keys must be a Buffer");
		reader->failed = true;
		return;
	}
	map->keys = data;
	if (map->key_size == 0 || length % map->key_size != 0)
		range_error(reader, map, "keys", length, map->key_size);
	else
		map->count = length / map->key_size;
}

static void run_update(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = map->flags);
	bool batch = true;
	for (size_t done = 0; done < map->count;) {
		char *keys = map->keys + done * map->key_size, *values = map->values + done * map->value_size;
		uint32_t chunk = map->count - done < UPDATE_CHUNK ? (uint32_t)(map->count - done) : UPDATE_CHUNK;
		uint32_t processed = chunk;
		if (batch) {
			int rc = bpf_map_update_batch(map->fd, keys, values, &processed, &options);
			if (rc != 0 && done == 0 && no_batch(errno) && (processed == 0 || processed == chunk)) {
				batch = false;
				continue;
			}
			if (rc != 0) {
				fail(&job->error, errno, "update map", map->name, "%s at entry %zu of %zu", strerror(errno),
				     done + (processed < chunk ? processed : 0), map->count);
				return;
			}
			done += processed;
		} else {
			if (bpf_map_update_elem(map->fd, keys, values, map->flags) != 0) {
				fail(&job->error, errno, "update map", map->name, "%s at entry %zu of %zu", strerror(errno), done,
				     map->count);
				return;
			}
			done++;
		}
	}
}

// mapUpdateBatch({handle, keys, values, flags?}): the buffers must not change until it is done.
napi_value map_update_batch(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct map_job *map = new_map_job(&reader, run_update, NULL);
	void *values = NULL;
	size_t length = 0;
	keep_keys(&reader, map);
	job_keep(&reader, &map->job, 1, "values", &values, &length);
	map->values = values;
	if (length != map->count * map->value_size)
		range_error(&reader, map, "values", length, map->value_size);
	map->flags = read_u64(&reader, "flags", 0);
	return job_start(&reader, &map->job, "mapUpdateBatch");
}

// The kernel's own batches walk a map; they take no keys.
static void run_lookup(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	map->values = calloc(map->count + 1, map->value_size);
	map->found = calloc(map->count + 1, 1);
	if (map->values == NULL || map->found == NULL) {
		fail(&job->error, ENOMEM, "look up in map", map->name, NULL);
		return;
	}
	for (size_t i = 0; i < map->count; i++) {
		if (bpf_map_lookup_elem(map->fd, map->keys + i * map->key_size, map->values + i * map->value_size) == 0) {
			map->found[i] = 1;
		} else if (errno != ENOENT) {
			fail(&job->error, errno, "look up in map", map->name, "%s at entry %zu of %zu", strerror(errno), i, map->count);
			return;
		}
	}
}

static napi_value lookup_result(napi_env env, struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	napi_value object = new_object(env);
	set_buffer(env, object, "found", map->found, map->count);
	set_buffer(env, object, "values", map->values, map->count * map->value_size);
	map->found = map->values = NULL;
	return object;
}

static void release_lookup(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	if (map->fd >= 0)
		close(map->fd);
	free(map->found);
	free(map->values);
}

// mapLookupBatch({handle, keys}) -> {found, values}: the buffer must not change until it is done.
napi_value map_lookup_batch(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct map_job *map = new_map_job(&reader, run_lookup, lookup_result);
	map->job.release = release_lookup;
	keep_keys(&reader, map);
	return job_start(&reader, &map->job, "mapLookupBatch");
}

// The kernel's batch stops at the first key that is absent, so one that is gone is stepped over.
static void run_delete(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	bool batch = true;
	size_t deleted = 0;
	for (size_t done = 0; done < map->count;) {
		char *keys = map->keys + done * map->key_size;
		uint32_t chunk = map->count - done < UPDATE_CHUNK ? (uint32_t)(map->count - done) : UPDATE_CHUNK;
		uint32_t processed = chunk;
		int rc, code;
		if (batch) {
			rc = bpf_map_delete_batch(map->fd, keys, &processed, &options);
			code = rc != 0 ? errno : 0;
			if (code != 0 && done == 0 && no_batch(code)) {
				batch = false;
				continue;
			}
			deleted += code == 0 || processed < chunk ? processed : 0;
			done += code == 0 ? processed : (processed < chunk ? processed : 0) + 1;
		} else {
			rc = bpf_map_delete_elem(map->fd, keys);
			code = rc != 0 ? errno : 0;
			deleted += code == 0;
			done++;
		}
		if (code != 0 && code != ENOENT) {
			fail(&job->error, code, "delete from map", map->name, "%s at entry %zu of %zu", strerror(code), done - 1,
			     map->count);
			return;
		}
	}
	map->count = deleted;
}

static napi_value count_result(napi_env env, struct job *job)
{
	napi_value value;
	napi_create_double(env, (double)((struct map_job *)job)->count, &value);
	return value;
}

napi_value map_delete_batch(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct map_job *map = new_map_job(&reader, run_delete, count_result);
	keep_keys(&reader, map);
	return job_start(&reader, &map->job, "mapDeleteBatch");
}

static int reserve(struct map_job *map, size_t entries)
{
	size_t capacity = map->capacity;
	char *keys, *values;
	if (entries <= capacity)
		return 0;
	capacity = capacity * 2 > entries ? capacity * 2 : entries;
	keys = realloc(map->keys, capacity * map->key_size + 1);
	if (keys != NULL)
		map->keys = keys;
	values = realloc(map->values, capacity * map->value_size + 1);
	if (values != NULL)
		map->values = values;
	if (keys == NULL || values == NULL)
		return fail(&map->job.error, ENOMEM, "read map", map->name, NULL);
	map->capacity = capacity;
	return 0;
}

// Returns 1 when this map knows no batches.
static int entries_by_batch(struct map_job *map)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	size_t token_size = map->key_size > 8 ? map->key_size : 8; // a bucket number, or a key
	char *tokens = calloc(2, token_size), *from = NULL, *next = tokens;
	uint32_t batch = map->batch;
	int retries = 16, status = -1;
	while (tokens != NULL) {
		uint32_t got = batch;
		size_t at = map->keep_entries ? map->count : 0;
		if (reserve(map, at + batch) != 0)
			break;
		int rc = bpf_map_lookup_batch(map->fd, from, next, map->keys + at * map->key_size,
					      map->values + at * map->value_size, &got, &options);
		int code = rc != 0 ? errno : 0;
		if (code == 0 || code == ENOENT) {
			map->count += got;
			status = 0;
			if (code == ENOENT)
				break;
			from = next;
			next = from == tokens ? tokens + token_size : tokens;
		} else if (code == ENOSPC && batch < (1u << 30)) {
			batch *= 2; // one bucket holds more than a batch
		} else if (code == EINTR && retries-- > 0) {
			continue; // the entry under the cursor went away
		} else {
			status = from == NULL && no_batch(code) ? 1 : fail(&map->job.error, code, "read map", map->name, NULL);
			break;
		}
	}
	if (tokens == NULL)
		fail(&map->job.error, ENOMEM, "read map", map->name, NULL);
	free(tokens);
	return status;
}

static void entries_by_key(struct map_job *map)
{
	char *keys = calloc(2, map->key_size + 1), *key = NULL, *next = keys;
	// Deleting under the cursor restarts the walk; without a limit a busy map could keep it going for ever.
	uint64_t limit = (uint64_t)map->max_entries * 4 + 1024;
	while (keys != NULL && bpf_map_get_next_key(map->fd, key, next) == 0) {
		size_t at = map->keep_entries ? map->count : 0;
		if (limit-- == 0) {
			fail(&map->job.error, EAGAIN, "read map", map->name, "it changes faster than it can be read");
			break;
		}
		if (reserve(map, at + 1) != 0)
			break;
		if (bpf_map_lookup_elem(map->fd, next, map->values + at * map->value_size) == 0) {
			memcpy(map->keys + at * map->key_size, next, map->key_size);
			map->count++;
		} else if (errno != ENOENT) {
			fail(&map->job.error, errno, "read map", map->name, NULL);
			break;
		}
		key = next;
		next = key == keys ? keys + map->key_size : keys;
	}
	if (keys != NULL && map->job.error.code == 0 && errno != ENOENT)
		fail(&map->job.error, errno, "read map", map->name, NULL);
	free(keys);
}

static void run_entries(struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	if (entries_by_batch(map) == 1) {
		map->count = 0;
		entries_by_key(map);
	}
}

static napi_value entries_result(napi_env env, struct job *job)
{
	struct map_job *map = (struct map_job *)job;
	napi_value object = new_object(env);
	size_t keys = map->count * map->key_size, values = map->count * map->value_size;
	set_number(env, object, "count", (double)map->count);
	if (map->keep_entries) {
		char *shrunk = realloc(map->keys, keys + 1);
		map->keys = shrunk != NULL ? shrunk : map->keys;
		shrunk = realloc(map->values, values + 1);
		map->values = shrunk != NULL ? shrunk : map->values;
		set_buffer(env, object, "keys", map->keys, keys);
		set_buffer(env, object, "values", map->values, values);
		map->keys = map->values = NULL;
	}
	return object;
}

// mapEntries({handle, batch?, countOnly?}) -> {count, keys?, values?}
napi_value map_entries(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct map_job *map = new_map_job(&reader, run_entries, entries_result);
	map->batch = read_u32(&reader, "batch", 0);
	map->keep_entries = read_flag(&reader, "countOnly") != 1;
	if (map->batch == 0)
		map->batch = map->max_entries < BATCH_DEFAULT ? map->max_entries : BATCH_DEFAULT;
	if (map->batch > (1u << 20))
		map->batch = 1u << 20;
	return job_start(&reader, &map->job, "mapEntries");
}

// ---- opening, making, pinning
// openPinnedMap({path})
napi_value map_open_pinned(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	struct handle *handle;
	char path[PATH_SIZE];
	int fd;
	read_name(&reader, "path", path, sizeof(path));
	if (reader.failed)
		return NULL;
	fd = bpf_obj_get(path);
	if (fd < 0) {
		fail(&error, errno, "open pinned map", path, NULL);
	} else if ((handle = map_handle(fd, "", &error)) != NULL) {
		// The kernel keeps 15 characters of a name; the pin has it all.
		const char *base = strrchr(path, '/');
		snprintf(handle->name, sizeof(handle->name), "%.63s", base != NULL ? base + 1 : path);
		return handle_to_js(env, handle);
	}
	throw_error(env, &error);
	return NULL;
}

static int map_type(const char *name)
{
	for (int type = 1; type < LAST_MAP_TYPE; type++) {
		const char *known = libbpf_bpf_map_type_str(type);
		if (known != NULL && strcmp(known, name) == 0)
			return type;
	}
	return -1;
}

// createMap({type, name, keySize, valueSize, maxEntries, flags?})
napi_value map_create(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	LIBBPF_OPTS(bpf_map_create_opts, options);
	char type[NAME_SIZE], name[NAME_SIZE];
	read_name(&reader, "type", type, sizeof(type));
	read_name(&reader, "name", name, sizeof(name));
	uint32_t key_size = read_u32(&reader, "keySize", 0), value_size = read_u32(&reader, "valueSize", 0);
	uint32_t max_entries = read_u32(&reader, "maxEntries", 0);
	options.map_flags = read_u32(&reader, "flags", 0);
	if (reader.failed)
		return NULL;
	int number = map_type(type);
	if (number < 0) {
		fail(&error, EINVAL, "create map", name, "no map type is called %s", type);
	} else {
		char kernel_name[16];
		snprintf(kernel_name, sizeof(kernel_name), "%.15s", name);
		int fd = bpf_map_create(number, kernel_name, key_size, value_size, max_entries, &options);
		struct handle *handle = NULL;
		if (fd < 0)
			fail(&error, errno, "create map", name, NULL);
		else
			handle = map_handle(fd, name, &error);
		if (handle != NULL)
			return handle_to_js(env, handle);
	}
	throw_error(env, &error);
	return NULL;
}

// mapPin({handle, path})
napi_value map_pin(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct handle *map = read_handle(&reader, "handle", HANDLE_MAP);
	char path[PATH_SIZE];
	read_name(&reader, "path", path, sizeof(path));
	if (!reader.failed && bpf_obj_pin(map->fd, path) != 0)
		return throw_errno(env, "pin map", path);
	return NULL;
}
