// SPDX-License-Identifier: Apache-2.0
// Attaching a tcx program waits for one RCU grace period: 5 to 10 ms on an idle machine, most of the time of making
// an endpoint's interface. The network code expedites its own waits (synchronize_net), tcx does not; the switch in
// sysfs does it for all, so it is set just for the length of the call. It costs every CPU one interrupt. A note says
// that it is ours, for whoever comes after a process that was killed meanwhile.
#include "kernel.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define SWITCH "/sys/kernel/rcu_expedited"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users;
static bool ours; // we set it, so we take it back
static char note[PATH_SIZE]; // empty: none is kept

// After a boot the switch is off, and a note of an earlier one says nothing.
static bool read_boot_id(char id[64])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, id, 63) : -1;
	if (fd >= 0)
		close(fd);
	id[length > 0 ? length : 0] = '\0';
	return length > 0;
}

static void write_note(void)
{
	char id[64];
	int fd = note[0] != '\0' && read_boot_id(id) ? open(note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	if (write(fd, id, strlen(id)) < 0)
		unlink(note);
	close(fd);
}

static bool write_switch(char value)
{
	int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, &value, 1) == 1;
	if (fd >= 0)
		close(fd);
	return written;
}

// Somebody else's 1 stays as it is. A read-only /sys only makes the call slower.
static bool is_off(void)
{
	char value = '1';
	int fd = open(SWITCH, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &value, 1) != 1)
		value = '1';
	if (fd >= 0)
		close(fd);
	return value == '0';
}

void rcu_expedite_begin(void)
{
	pthread_mutex_lock(&lock);
	if (users++ == 0 && is_off()) {
		write_note();
		ours = write_switch('1');
		if (!ours && note[0] != '\0')
			unlink(note);
	}
	pthread_mutex_unlock(&lock);
}

void rcu_expedite_end(void)
{
	pthread_mutex_lock(&lock);
	if (--users == 0 && ours) {
		write_switch('0');
		ours = false;
		if (note[0] != '\0')
			unlink(note);
	}
	pthread_mutex_unlock(&lock);
}

static bool take_back(void)
{
	char id[64], noted[64] = { 0 };
	int fd = open(note, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, noted, sizeof(noted) - 1) : -1;
	bool same = length > 0 && read_boot_id(id) && strcmp(id, noted) == 0;
	if (fd < 0)
		return false;
	close(fd);
	if (same && !is_off())
		write_switch('0');
	unlink(note);
	return same;
}

// noteExpediting({path}) -> whether a killed process left the switch on; from now on `path` exists while we have it on
napi_value rcu_keep_note(napi_env env, napi_callback_info info)
{
	struct reader reader = read_arguments(env, info);
	char path[PATH_SIZE];
	napi_value value;
	bool taken = false;
	read_name(&reader, "path", path, sizeof(path));
	if (reader.failed)
		return NULL;
	pthread_mutex_lock(&lock);
	if (users == 0) {
		memcpy(note, path, sizeof(note));
		taken = take_back();
	}
	pthread_mutex_unlock(&lock);
	napi_get_boolean(env, taken, &value);
	return value;
}
