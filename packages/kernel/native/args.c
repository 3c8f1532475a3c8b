// SPDX-License-Identifier: Apache-2.0
// Reading the fields of an argument object, and making results.
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void type_error(struct reader *reader, const char *field, const char *wanted)
{
	char text[160];
	if (reader->failed)
		return;
	reader->failed = true;
	snprintf(text, sizeof(text), "%s must be %s", field, wanted);
	napi_throw_type_error(reader->env, NULL, text);
}

struct reader read_arguments(napi_env env, napi_callback_info info)
{
	struct reader reader = { .env = env };
	size_t count = 1;
	napi_valuetype type = napi_undefined;
	napi_get_cb_info(env, info, &count, &reader.object, NULL, NULL);
	napi_typeof(env, reader.object, &type);
	if (type != napi_object)
		type_error(&reader, "the argument", "an object");
	return reader;
}

bool read_field(struct reader *reader, const char *field, napi_value *value)
{
	napi_valuetype type = napi_undefined;
	if (reader->failed || napi_get_named_property(reader->env, reader->object, field, value) != napi_ok)
		return false;
	napi_typeof(reader->env, *value, &type);
	return type != napi_undefined && type != napi_null;
}

struct reader read_object(struct reader *reader, const char *field)
{
	struct reader inner = { .env = reader->env };
	if (!read_field(reader, field, &inner.object)) {
		type_error(reader, field, "an object");
		inner.failed = true;
	}
	return inner;
}

bool read_string(struct reader *reader, const char *field, char *out, size_t size)
{
	napi_value value;
	size_t length = 0;
	out[0] = '\0';
	if (!read_field(reader, field, &value))
		return false;
	if (napi_get_value_string_utf8(reader->env, value, NULL, 0, &length) != napi_ok) {
		type_error(reader, field, "a string");
		return false;
	}
	if (length >= size) {
		char wanted[64];
		snprintf(wanted, sizeof(wanted), "shorter than %zu bytes", size);
		type_error(reader, field, wanted);
		return false;
	}
	napi_get_value_string_utf8(reader->env, value, out, size, &length);
	if (strlen(out) != length) {
		type_error(reader, field, "free of NUL");
		return false;
	}
	return true;
}

void read_name(struct reader *reader, const char *field, char *out, size_t size)
{
	if (!read_string(reader, field, out, size) || out[0] == '\0')
		type_error(reader, field, "a non-empty string");
}

uint64_t read_u64(struct reader *reader, const char *field, uint64_t fallback)
{
	napi_value value;
	double number;
	if (!read_field(reader, field, &value))
		return fallback;
	if (napi_get_value_double(reader->env, value, &number) != napi_ok || !(number >= 0) || number > 0x1fffffffffffff) {
		type_error(reader, field, "a number from 0 to 2^53");
		return fallback;
	}
	return (uint64_t)number;
}

uint32_t read_u32(struct reader *reader, const char *field, uint32_t fallback)
{
	uint64_t number = read_u64(reader, field, fallback);
	if (number > UINT32_MAX) {
		type_error(reader, field, "below 2^32");
		return fallback;
	}
	return (uint32_t)number;
}

int read_flag(struct reader *reader, const char *field)
{
	napi_value value;
	bool flag = false;
	if (!read_field(reader, field, &value))
		return -1;
	if (napi_get_value_bool(reader->env, value, &flag) != napi_ok)
		type_error(reader, field, "a boolean");
	return flag;
}

bool read_buffer(struct reader *reader, const char *field, void **data, size_t *length)
{
	napi_value value;
	bool is_buffer = false;
	*data = NULL;
	*length = 0;
	if (!read_field(reader, field, &value))
		return false;
	napi_is_buffer(reader->env, value, &is_buffer);
	if (!is_buffer || napi_get_buffer_info(reader->env, value, data, length) != napi_ok) {
		type_error(reader, field, "a Buffer or Uint8Array");
		return false;
	}
	return true;
}

bool read_mac(struct reader *reader, const char *field, uint8_t mac[6])
{
	char text[32];
	int end = 0;
	if (!read_string(reader, field, text, sizeof(text)))
		return false;
	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
		   &end) != 6 ||
	    text[end] != '\0') {
		type_error(reader, field, "a MAC address such as 02:00:00:00:00:01");
		return false;
	}
	return true;
}

uint32_t read_length(struct reader *reader, const char *field)
{
	napi_value value;
	uint32_t length = 0;
	if (!read_field(reader, field, &value))
		return 0;
	if (napi_get_array_length(reader->env, value, &length) != napi_ok)
		type_error(reader, field, "an array");
	return length;
}

struct reader read_element(struct reader *reader, const char *field, uint32_t index)
{
	struct reader element = { .env = reader->env };
	napi_value array;
	if (!read_field(reader, field, &array) ||
	    napi_get_element(reader->env, array, index, &element.object) != napi_ok) {
		type_error(reader, field, "an array of objects");
		element.failed = true;
	}
	return element;
}

void set_value(napi_env env, napi_value object, const char *field, napi_value value)
{
	napi_set_named_property(env, object, field, value);
}

void set_string(napi_env env, napi_value object, const char *field, const char *text)
{
	napi_value value;
	if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
		set_value(env, object, field, value);
}

void set_number(napi_env env, napi_value object, const char *field, double number)
{
	napi_value value;
	napi_create_double(env, number, &value);
	set_value(env, object, field, value);
}

void set_bool(napi_env env, napi_value object, const char *field, bool flag)
{
	napi_value value;
	napi_get_boolean(env, flag, &value);
	set_value(env, object, field, value);
}

static void free_buffer(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

void set_buffer(napi_env env, napi_value object, const char *field, void *data, size_t length)
{
	napi_value value;
	// Small buffers are copied: an external one costs more than it saves, and cannot be empty.
	if (length < 4096) {
		napi_create_buffer_copy(env, length, data, NULL, &value);
		free(data);
	} else if (napi_create_external_buffer(env, length, data, free_buffer, NULL, &value) != napi_ok) {
		napi_create_buffer_copy(env, length, data, NULL, &value);
		free(data);
	}
	set_value(env, object, field, value);
}

napi_value new_object(napi_env env)
{
	napi_value object = NULL;
	napi_create_object(env, &object);
	return object;
}

napi_value new_undefined(napi_env env)
{
	napi_value value = NULL;
	napi_get_undefined(env, &value);
	return value;
}
