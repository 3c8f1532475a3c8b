// SPDX-License-Identifier: Apache-2.0
// One slow call on a worker thread, seen from JavaScript as a promise.
#include "kernel.h"

#include <stdlib.h>

static void job_free(napi_env env, struct job *job)
{
	for (int slot = 0; slot < 2; slot++)
		if (job->kept[slot] != NULL)
			napi_delete_reference(env, job->kept[slot]);
	if (job->release != NULL)
		job->release(job);
	error_free(&job->error);
	free(job);
}

static void execute(napi_env env, void *data)
{
	struct job *job = data;
	(void)env;
	job->run(job);
}

static void complete(napi_env env, napi_status status, void *data)
{
	struct job *job = data;
	if (status == napi_cancelled)
		fail(&job->error, 125 /* ECANCELED */, "run", "worker", NULL);
	if (job->error.code != 0) {
		napi_reject_deferred(env, job->deferred, error_to_js(env, &job->error));
	} else {
		napi_value value = job->result != NULL ? job->result(env, job) : new_undefined(env);
		// Making the result may itself fail (a descriptor gone, no memory).
		if (job->error.code != 0)
			napi_reject_deferred(env, job->deferred, error_to_js(env, &job->error));
		else
			napi_resolve_deferred(env, job->deferred, value);
	}
	napi_delete_async_work(env, job->work);
	job_free(env, job);
}

void *job_new(size_t size)
{
	void *job = calloc(1, size);
	if (job == NULL)
		abort();
	return job;
}

bool job_keep(struct reader *reader, struct job *job, int slot, const char *field, void **data, size_t *length)
{
	napi_value value;
	if (!read_buffer(reader, field, data, length) || !read_field(reader, field, &value))
		return false;
	return napi_create_reference(reader->env, value, 1, &job->kept[slot]) == napi_ok;
}

napi_value job_start(struct reader *reader, struct job *job, const char *name)
{
	napi_value promise = NULL, label = NULL;
	if (reader->failed) {
		job_free(reader->env, job);
		return NULL;
	}
	napi_create_string_utf8(reader->env, name, NAPI_AUTO_LENGTH, &label);
	napi_create_promise(reader->env, &job->deferred, &promise);
	napi_create_async_work(reader->env, NULL, label, execute, complete, job, &job->work);
	napi_queue_async_work(reader->env, job->work);
	return promise;
}
