// SPDX-License-Identifier: Apache-2.0
// The table of functions. Everything per JavaScript environment lives in its instance data (errors.c), so the addon
// can be loaded by several worker threads.
#include "kernel.h"

#include <malloc.h>

// trimMemory(): what the C heap of every thread holds free goes back to the system.
napi_value memory_trim(napi_env env, napi_callback_info info)
{
	(void)info;
	malloc_trim(0);
	return new_undefined(env);
}

NAPI_MODULE_INIT()
{
	log_init();
	if (netns_init() != 0) {
		napi_throw_error(env, NULL, "cannot open /proc/self/ns/net");
		return NULL;
	}
#define DEFINE(js_name, function)                                                                                      \
	{                                                                                                              \
		napi_value value;                                                                                      \
		if (napi_create_function(env, #js_name, NAPI_AUTO_LENGTH, function, NULL, &value) != napi_ok)          \
			return NULL;                                                                                   \
		napi_set_named_property(env, exports, #js_name, value);                                                \
	}
	EACH_FUNCTION(DEFINE)
#undef DEFINE
	return exports;
}
