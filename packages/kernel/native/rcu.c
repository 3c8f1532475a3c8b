// SPDX-License-Identifier: Apache-2.0
// Attaching a tcx program waits for one RCU grace period: 5 to 10 ms on an idle machine, most of the time of making
// an endpoint's interface. The network code expedites its own waits (synchronize_net), tcx does not; the switch in
// sysfs does it for all, so it is set just for the length of the call. It costs every CPU one interrupt.
#include "kernel.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define SWITCH "/sys/kernel/rcu_expedited"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users;
static bool ours; // we set it, so we take it back

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
	if (users++ == 0)
		ours = is_off() && write_switch('1');
	pthread_mutex_unlock(&lock);
}

void rcu_expedite_end(void)
{
	pthread_mutex_lock(&lock);
	if (--users == 0 && ours) {
		write_switch('0');
		ours = false;
	}
	pthread_mutex_unlock(&lock);
}
