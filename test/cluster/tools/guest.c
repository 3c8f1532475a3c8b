// SPDX-License-Identifier: Apache-2.0
/*
 * A machine behind a tap, as small as can be: answers ARP requests for its address and ping, until stdin ends.
 *
 *   guest TAP MAC IP
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint8_t mac[6];
static uint32_t ip;

/* Turns a frame into its answer; 0 when it wants none. */
static int answer(uint8_t *frame, ssize_t size)
{
	uint8_t asker[4];

	if (size >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 1 && !memcmp(frame + 38, &ip, 4)) {
		memcpy(frame, frame + 6, 6);
		memcpy(frame + 6, mac, 6);
		memcpy(asker, frame + 28, 4);
		frame[21] = 2;
		memcpy(frame + 32, frame, 6);
		memcpy(frame + 22, mac, 6);
		memcpy(frame + 28, &ip, 4);
		memcpy(frame + 38, asker, 4);
		return 1;
	}
	if (size >= 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 1 && frame[34] == 8 &&
	    !memcmp(frame + 30, &ip, 4) && !memcmp(frame, mac, 6)) {
		uint32_t sum = (frame[36] << 8 | frame[37]) + 0x0800;

		memcpy(frame, frame + 6, 6);
		memcpy(frame + 6, mac, 6);
		memcpy(asker, frame + 26, 4);
		memcpy(frame + 26, &ip, 4);
		memcpy(frame + 30, asker, 4);
		frame[34] = 0;
		sum += sum >> 16;
		frame[36] = sum >> 8;
		frame[37] = sum;
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	uint8_t frame[65536];
	/* The gateway's ARP entry is all a guest needs to send; here it answers only. */
	if (argc != 4 || inet_pton(AF_INET, argv[3], &ip) != 1 ||
	    sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
		return 2;
	fds[0].fd = open("/dev/net/tun", O_RDWR);
	strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
	if (fds[0].fd < 0 || ioctl(fds[0].fd, TUNSETIFF, &request)) {
		perror("guest");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		ssize_t size = read(fds[0].fd, frame, sizeof(frame));

		if (size > 0 && answer(frame, size) && write(fds[0].fd, frame, size) != size)
			perror("guest");
	}
	return 0;
}
