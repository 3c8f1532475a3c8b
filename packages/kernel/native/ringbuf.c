// SPDX-License-Identifier: Apache-2.0
// BPF ring buffers: every sample a Buffer for the callback.
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sample {
	size_t length;
	char data[];
};

struct ring {
	struct ring_buffer *buffer;
	struct watch *watch; // set while draining
	int map_fd;
};

static int on_sample(void *context, void *data, size_t length)
{
	struct ring *ring = context;
	struct sample *sample = malloc(sizeof(*sample) + length);
	if (sample == NULL)
		return -ENOMEM;
	sample->length = length;
	memcpy(sample->data, data, length);
	return watch_send(ring->watch, sample) == 0 ? 0 : -ECANCELED;
}

static int drain(struct watch *watch, void *context)
{
	struct ring *ring = context;
	ring->watch = watch;
	// poll, not consume: it takes the event off the epoll descriptor.
	int rc = ring_buffer__poll(ring->buffer, 0);
	return rc < 0 && rc != -EINTR && rc != -ENOMEM;
}

static napi_value to_js(napi_env env, void *record)
{
	struct sample *sample = record;
	napi_value value = NULL;
	napi_create_buffer_copy(env, sample->length, sample->data, NULL, &value);
	return value;
}

static void close_ring(void *context)
{
	struct ring *ring = context;
	ring_buffer__free(ring->buffer);
	close(ring->map_fd);
	free(ring);
}

// openRingBuffer({handle, onData}) -> external for closeWatch
napi_value ring_buffer_open(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	struct kernel_error error = { 0 };
	struct handle *map = read_handle(&reader, "handle", HANDLE_MAP);
	int fd = handle_dup(&reader, "handle", HANDLE_MAP);
	napi_value callback = NULL;
	struct ring *ring;
	read_field(&reader, "onData", &callback);
	if (reader.failed) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	ring = job_new(sizeof(*ring));
	ring->map_fd = fd;
	log_begin();
	ring->buffer = ring_buffer__new(fd, on_sample, ring, NULL);
	int code = ring->buffer == NULL ? errno : 0;
	char *log = log_end();
	if (code != 0) {
		fail(&error, code, "open ring buffer", map->name, NULL);
		error.log = log;
		close(fd);
		free(ring);
		throw_error(env, &error);
		return NULL;
	}
	free(log);
	return watch_start(env, callback, "megrez ring buffer",
			   (struct watch_source){ .fd = ring_buffer__epoll_fd(ring->buffer),
						  .drain = drain,
						  .to_js = to_js,
						  .close = close_ring,
						  .context = ring });
}
