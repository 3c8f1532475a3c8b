// SPDX-License-Identifier: Apache-2.0
// Errors as data, libbpf's log per thread, and the JavaScript error class, which src/ hands over once.
#include "kernel.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ENOTSUPP
#define ENOTSUPP 524 // the kernel's own; glibc does not know it
#endif

#define LOG_LIMIT (4u << 20)

static __thread struct {
	bool active;
	char *text;
	size_t length, capacity;
} thread_log;

int fail(struct kernel_error *error, int code, const char *operation, const char *object, const char *detail, ...)
{
	if (error->code != 0)
		return -1; // the first one is the cause
	error->code = code != 0 ? code : EIO;
	snprintf(error->operation, sizeof(error->operation), "%s", operation);
	snprintf(error->object, sizeof(error->object), "%s", object);
	if (detail != NULL) {
		va_list arguments;
		va_start(arguments, detail);
		vsnprintf(error->detail, sizeof(error->detail), detail, arguments);
		va_end(arguments);
	} else if (error->code == ENOTSUPP) {
		snprintf(error->detail, sizeof(error->detail), "Operation not supported");
	} else {
		snprintf(error->detail, sizeof(error->detail), "%s", strerror(error->code));
	}
	return -1;
}

void error_free(struct kernel_error *error)
{
	free(error->log);
	memset(error, 0, sizeof(*error));
}

static const char *code_name(int code)
{
	const char *name = code == ENOTSUPP ? "ENOTSUPP" : strerrorname_np(code);
	return name != NULL ? name : "EUNKNOWN";
}

static void drop_class(napi_env env, void *data, void *hint)
{
	(void)hint;
	napi_delete_reference(env, data);
}

// init(KernelError): the class is called with one object {code, operation, object, detail, log?}.
napi_value errors_init(napi_env env, napi_callback_info info)
{
	size_t count = 1;
	napi_value class;
	napi_ref reference;
	void *old = NULL;
	napi_get_cb_info(env, info, &count, &class, NULL, NULL);
	napi_get_instance_data(env, &old);
	if (old != NULL)
		napi_delete_reference(env, old);
	if (napi_create_reference(env, class, 1, &reference) != napi_ok) {
		napi_throw_type_error(env, NULL, "init wants the error class");
		return NULL;
	}
	napi_set_instance_data(env, reference, drop_class, NULL);
	return NULL;
}

napi_value error_to_js(napi_env env, const struct kernel_error *error)
{
	void *class_reference = NULL;
	napi_value class = NULL, result = NULL, fields = new_object(env);
	set_string(env, fields, "code", code_name(error->code));
	set_string(env, fields, "operation", error->operation);
	set_string(env, fields, "object", error->object);
	set_string(env, fields, "detail", error->detail);
	if (error->log != NULL)
		set_string(env, fields, "log", error->log);
	napi_get_instance_data(env, &class_reference);
	if (class_reference != NULL)
		napi_get_reference_value(env, class_reference, &class);
	if (class == NULL || napi_new_instance(env, class, 1, &fields, &result) != napi_ok)
		return fields;
	return result;
}

void throw_error(napi_env env, struct kernel_error *error)
{
	napi_throw(env, error_to_js(env, error));
	error_free(error);
}

// Keeps the end of a log that is too long: the verifier's reason comes last.
static int log_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *line = NULL;
	int length;
	if (!thread_log.active || level == LIBBPF_DEBUG)
		return 0;
	length = vasprintf(&line, format, arguments);
	if (length <= 0)
		return 0;
	if ((size_t)length >= LOG_LIMIT) {
		memmove(line, line + (length - LOG_LIMIT / 2), LOG_LIMIT / 2 + 1);
		length = LOG_LIMIT / 2;
	}
	if (thread_log.length + (size_t)length >= LOG_LIMIT)
		thread_log.length = 0;
	if (thread_log.length + (size_t)length + 1 > thread_log.capacity) {
		size_t capacity = (thread_log.length + (size_t)length + 1) * 2;
		char *text = realloc(thread_log.text, capacity);
		if (text == NULL) {
			free(line);
			return 0;
		}
		thread_log.text = text;
		thread_log.capacity = capacity;
	}
	memcpy(thread_log.text + thread_log.length, line, (size_t)length + 1);
	thread_log.length += (size_t)length;
	free(line);
	return length;
}

void log_init(void)
{
	libbpf_set_print(log_print);
}

void log_begin(void)
{
	memset(&thread_log, 0, sizeof(thread_log));
	thread_log.active = true;
}

char *log_end(void)
{
	char *text = thread_log.text;
	memset(&thread_log, 0, sizeof(thread_log));
	return text;
}
