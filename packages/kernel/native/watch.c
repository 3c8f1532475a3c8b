// SPDX-License-Identifier: Apache-2.0
// A thread that sleeps on a descriptor and passes records to the event loop. The queue is bounded: when JavaScript
// is slow the thread waits, and the kernel's own buffer (which counts what it drops) is the one that fills.
#include "kernel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_LENGTH 4096

struct watch {
	struct watch_source source;
	napi_threadsafe_function function;
	pthread_t thread;
	int stop_fd;
	atomic_bool stopping;
	bool started;
	bool closed; // event loop only: no callback after close()
	int owners; // event loop only: the threadsafe function and the external; the last one frees
};

static void disown(struct watch *watch)
{
	if (--watch->owners == 0)
		free(watch);
}

int watch_send(struct watch *watch, void *record)
{
	if (atomic_load(&watch->stopping) ||
	    napi_call_threadsafe_function(watch->function, record, napi_tsfn_blocking) != napi_ok) {
		free(record);
		return 1;
	}
	return 0;
}

static void *sleep_and_drain(void *data)
{
	struct watch *watch = data;
	struct pollfd descriptors[] = { { .fd = watch->source.fd, .events = POLLIN },
					{ .fd = watch->stop_fd, .events = POLLIN } };
	while (!atomic_load(&watch->stopping)) {
		if (poll(descriptors, 2, -1) < 0 && errno != EINTR)
			break;
		if (descriptors[1].revents != 0)
			break;
		if (descriptors[0].revents != 0 && watch->source.drain(watch, watch->source.context) != 0)
			break;
	}
	napi_release_threadsafe_function(watch->function, napi_tsfn_release);
	return NULL;
}

static void deliver(napi_env env, napi_value callback, void *context, void *record)
{
	struct watch *watch = context;
	if (env != NULL && callback != NULL && !watch->closed) {
		napi_value value = watch->source.to_js(env, record);
		napi_value error;
		if (value != NULL && napi_call_function(env, new_undefined(env), callback, 1, &value, NULL) == napi_pending_exception &&
		    napi_get_and_clear_last_exception(env, &error) == napi_ok)
			napi_fatal_exception(env, error); // as an exception in any event handler
	}
	free(record);
}

static void stop(struct watch *watch)
{
	uint64_t one = 1;
	atomic_store(&watch->stopping, true);
	if (write(watch->stop_fd, &one, sizeof(one)) < 0)
		return; // the counter is full: it is readable already
}

// Runs once the thread has let go of the function, or when the environment ends before that.
static void finalize(napi_env env, void *data, void *hint)
{
	struct watch *watch = data;
	(void)env;
	(void)hint;
	stop(watch);
	if (watch->started)
		pthread_join(watch->thread, NULL);
	watch->source.close(watch->source.context);
	close(watch->stop_fd);
	watch->stop_fd = -1;
	watch->closed = true;
	disown(watch);
}

static void drop_external(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	disown(data);
}

napi_value watch_start(napi_env env, napi_value callback, const char *name, struct watch_source source)
{
	struct watch *watch = job_new(sizeof(*watch));
	napi_value label, external = NULL;
	struct kernel_error error = { 0 };
	watch->source = source;
	watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &label);
	if (watch->stop_fd < 0 || napi_create_threadsafe_function(env, callback, NULL, label, QUEUE_LENGTH, 1, watch, finalize,
								  watch, deliver, &watch->function) != napi_ok) {
		bool pending = false;
		napi_is_exception_pending(env, &pending);
		if (!pending)
			napi_throw_type_error(env, NULL, "the callback must be a function");
		source.close(source.context);
		if (watch->stop_fd >= 0)
			close(watch->stop_fd);
		free(watch);
		return NULL;
	}
	watch->owners = 2;
	watch->started = pthread_create(&watch->thread, NULL, sleep_and_drain, watch) == 0;
	if (!watch->started) {
		watch->owners = 1;
		napi_release_threadsafe_function(watch->function, napi_tsfn_abort); // finalize() cleans up
		fail(&error, EAGAIN, "start thread for", name, NULL);
		throw_error(env, &error);
		return NULL;
	}
	napi_create_external(env, watch, drop_external, NULL, &external);
	return external;
}

// closeWatch(external): no callback follows; closing twice is no error.
napi_value watch_close(napi_env env, napi_callback_info info)
{
	size_t count = 1;
	napi_value value;
	void *data = NULL;
	napi_get_cb_info(env, info, &count, &value, NULL, NULL);
	if (napi_get_value_external(env, value, &data) != napi_ok || data == NULL)
		return NULL;
	struct watch *watch = data;
	if (!watch->closed) {
		watch->closed = true;
		stop(watch);
	}
	return NULL;
}
