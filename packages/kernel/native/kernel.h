// SPDX-License-Identifier: Apache-2.0
// The addon's only header: errors, argument reading, background jobs, handles, namespaces and netlink.
//
// The addon knows handles and plain data; shapes and policy live in src/. Every native function takes either a few
// positional values (the map calls, which are hot) or one object with named fields.
#pragma once

#define NAPI_VERSION 8
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_SIZE 512
#define NAME_SIZE 64

// ---- errors.c: what went wrong, kept as data until the event loop can make a KernelError of it
struct kernel_error {
	int code; // a positive errno; 0 means no error
	char operation[64];
	char object[PATH_SIZE];
	char detail[512];
	char *log; // libbpf's messages and the verifier's, or NULL; owned
};

// Records the error and returns -1, so that a function can end with it. `detail` NULL means the errno's own text.
int fail(struct kernel_error *error, int code, const char *operation, const char *object, const char *detail, ...)
	__attribute__((format(printf, 5, 6)));
napi_value error_to_js(napi_env env, const struct kernel_error *error);
void throw_error(napi_env env, struct kernel_error *error);
void error_free(struct kernel_error *error);
napi_value errors_init(napi_env env, napi_callback_info info);

// libbpf's messages of this thread between begin and end; end returns them (owned by the caller, NULL when empty).
void log_begin(void);
char *log_end(void);
void log_init(void);

// ---- args.c: fields of the one object argument; a wrong type leaves a TypeError pending and sets `failed`
struct reader {
	napi_env env;
	napi_value object;
	bool failed;
};

struct reader read_arguments(napi_env env, napi_callback_info info);
struct reader read_object(struct reader *reader, const char *field);
bool read_field(struct reader *reader, const char *field, napi_value *value);
bool read_string(struct reader *reader, const char *field, char *out, size_t size);
void read_name(struct reader *reader, const char *field, char *out, size_t size); // required
uint32_t read_u32(struct reader *reader, const char *field, uint32_t fallback);
uint64_t read_u64(struct reader *reader, const char *field, uint64_t fallback);
int read_flag(struct reader *reader, const char *field); // -1 when absent
bool read_buffer(struct reader *reader, const char *field, void **data, size_t *length);
bool read_mac(struct reader *reader, const char *field, uint8_t mac[6]);
uint32_t read_length(struct reader *reader, const char *field); // of an array; 0 when absent
struct reader read_element(struct reader *reader, const char *field, uint32_t index);

void set_string(napi_env env, napi_value object, const char *field, const char *value);
void set_number(napi_env env, napi_value object, const char *field, double value);
void set_bool(napi_env env, napi_value object, const char *field, bool value);
void set_value(napi_env env, napi_value object, const char *field, napi_value value);
void set_buffer(napi_env env, napi_value object, const char *field, void *data, size_t length); // takes `data` (malloc)
napi_value new_object(napi_env env);
napi_value new_undefined(napi_env env);

// ---- job.c: one slow call, run on a worker thread; the first member of every operation's own struct
struct job {
	void (*run)(struct job *job);
	napi_value (*result)(napi_env env, struct job *job); // NULL: resolves to undefined
	void (*release)(struct job *job); // NULL: nothing beside the job itself
	struct kernel_error error;
	napi_ref kept[2]; // JavaScript buffers that `run` reads
	napi_async_work work;
	napi_deferred deferred;
};

// Starts the job and returns its promise; frees the job when it is done. If reading the arguments failed, frees it
// at once and returns NULL, the exception being pending already.
napi_value job_start(struct reader *reader, struct job *job, const char *name);
void *job_new(size_t size);
bool job_keep(struct reader *reader, struct job *job, int slot, const char *field, void **data, size_t *length);

// ---- handle.c
enum handle_kind { HANDLE_MAP = 0x4d617001, HANDLE_PROGRAM = 0x50726702 };

struct handle {
	enum handle_kind kind;
	int fd; // -1 once closed
	uint32_t id;
	uint32_t type;
	uint32_t key_size; // maps only, as are the next three
	uint32_t value_size; // of the buffer user space sees: rounded up and times the possible CPUs for per-CPU maps
	uint32_t max_entries;
	char name[NAME_SIZE];
};

napi_value handle_to_js(napi_env env, struct handle *handle); // takes the handle
struct handle *handle_from_js(napi_env env, napi_value value, enum handle_kind kind); // throws, NULL when not open
struct handle *read_handle(struct reader *reader, const char *field, enum handle_kind kind);
int handle_dup(struct reader *reader, const char *field, enum handle_kind kind); // a descriptor the caller closes
napi_value handle_close(napi_env env, napi_callback_info info);
void handle_free(struct handle *handle);
struct handle *map_handle(int fd, const char *name, struct kernel_error *error); // takes fd, also when it fails
struct handle *program_handle(int fd, const char *name, struct kernel_error *error);

// ---- watch.c: a thread that waits on one descriptor and hands records to a JavaScript callback
struct watch;
struct watch_source {
	int fd; // readable when there is something
	int (*drain)(struct watch *watch, void *context); // sends records; non-zero ends the watch
	napi_value (*to_js)(napi_env env, void *record);
	void (*close)(void *context);
	void *context;
};

napi_value watch_start(napi_env env, napi_value callback, const char *name, struct watch_source source);
int watch_send(struct watch *watch, void *record); // takes the record (malloc); non-zero once the watch is closing
napi_value watch_close(napi_env env, napi_callback_info info);

// ---- subscription.c: a watch on netlink's multicast groups (bits of RTNLGRP_… - 1)
napi_value subscribe(napi_env env, napi_callback_info info, const char *what, uint32_t groups,
		     void *(*take)(struct nlmsghdr *header), napi_value (*to_js)(napi_env env, void *record));

// ---- netns.c: the namespace named by a path, for the part of a job that needs it. An empty path is our own.
int netns_init(void);
int netns_enter(const char *path, struct kernel_error *error);
void netns_leave(const char *path);
int netns_open(const char *path, struct kernel_error *error);

// ---- netlink.c: one request at a time over a route socket
struct netlink {
	int fd;
	bool shared; // this thread's own socket, kept for the next call
};

typedef int (*netlink_reply)(struct nlmsghdr *message, void *context);

int netlink_open(struct netlink *netlink, const char *netns, struct kernel_error *error);
void netlink_close(struct netlink *netlink);
void netlink_forget(void); // what this thread keeps, before it ends
// Sends and waits for the acknowledgement (or the end of a dump). Takes `message`. On refusal records the kernel's
// own explanation and returns -1.
int netlink_request(struct netlink *netlink, struct nl_msg *message, netlink_reply reply, void *context,
		    struct kernel_error *error, const char *operation, const char *object);
struct nl_msg *netlink_message(int type, int flags, const void *header, size_t length);

// ---- link.c and link_create.c, shared with the compound call
struct link_info {
	uint32_t ifindex, mtu, max_mtu, flags, master, peer_ifindex, gso_max_size, xdp_mode;
	bool has_mac;
	uint8_t mac[6];
	char name[16];
	char alias[256];
	char kind[32];
};

struct link_request { // what RTM_NEWLINK and RTM_SETLINK carry
	uint32_t ifindex;
	char name[16];
	char alias[256];
	uint32_t mtu, gso_max_size, queues, master;
	bool has_mac, has_master;
	uint8_t mac[6];
	int up, arp; // -1: leave
};

void format_mac(const uint8_t mac[6], char out[18]);
int link_get(struct netlink *netlink, const char *name, uint32_t ifindex, struct link_info *info,
	     struct kernel_error *error); // 1 when there is none
int link_require(struct netlink *netlink, const char *name, uint32_t ifindex, struct link_info *info,
		 struct kernel_error *error, const char *operation); // none is an error, ENODEV
struct ifinfomsg link_header(const struct link_request *request);
void link_put(struct nl_msg *message, const struct link_request *request);
int link_set(struct netlink *netlink, const struct link_request *request, struct kernel_error *error);
int link_create_veth(struct netlink *netlink, const struct link_request *host, const struct link_request *peer,
		     int peer_netns_fd, struct link_info *created, struct kernel_error *error);
int link_delete(struct netlink *netlink, uint32_t ifindex, const char *object, struct kernel_error *error);
int link_remove_and_leave(struct netlink *netlink, const char *netns, const struct link_info *info,
			  struct kernel_error *error);
void read_link_request(struct reader *reader, struct link_request *request);

// ---- route.c
struct prefix {
	int family, length;
	uint8_t bytes[16];
};

bool read_prefix(struct reader *reader, const char *field, bool required, struct prefix *prefix);
int prefix_size(const struct prefix *prefix);

struct address_request {
	struct prefix prefix;
	char scope[16];
	bool no_prefix_route;
};

struct route_request {
	struct prefix dst, via; // family 0: default, or none
	bool onlink;
	uint32_t mtu;
	char scope[16];
};

void read_address_request(struct reader *reader, struct address_request *request);
void read_route_request(struct reader *reader, struct route_request *request);
int address_change(struct netlink *netlink, uint32_t ifindex, const struct address_request *request, bool add,
		   struct kernel_error *error);
int route_change(struct netlink *netlink, uint32_t ifindex, const struct route_request *request, bool add,
		 struct kernel_error *error);

// ---- sysctl.c
int sysctl_write(const char *netns, const char *path, const char *value, struct kernel_error *error);

// ---- bpf_link.c
int tcx_attach(int program_fd, uint32_t ifindex, bool egress, const char *pin, bool expedite,
	       struct kernel_error *error);

// ---- rcu.c
void rcu_expedite_begin(void);
void rcu_expedite_end(void);

// ---- the functions of addon.c's table
#define EACH_FUNCTION(X)                                                                                               \
	X(init, errors_init)                                                                                           \
	X(close, handle_close)                                                                                         \
	X(closeWatch, watch_close)                                                                                     \
	X(loadObject, object_load)                                                                                     \
	X(openPinnedMap, map_open_pinned)                                                                              \
	X(createMap, map_create)                                                                                       \
	X(mapLookup, map_lookup)                                                                                       \
	X(mapUpdate, map_update)                                                                                       \
	X(mapDelete, map_delete)                                                                                       \
	X(mapLookupBatch, map_lookup_batch)                                                                            \
	X(mapUpdateBatch, map_update_batch)                                                                            \
	X(mapDeleteBatch, map_delete_batch)                                                                            \
	X(mapEntries, map_entries)                                                                                     \
	X(mapPin, map_pin)                                                                                             \
	X(openPinnedProgram, program_open_pinned)                                                                      \
	X(programInfo, program_info)                                                                                   \
	X(programPin, program_pin)                                                                                     \
	X(testRun, program_test_run)                                                                                   \
	X(attachTcx, link_attach_tcx)                                                                                  \
	X(attachXdp, link_attach_xdp)                                                                                  \
	X(detach, link_detach)                                                                                         \
	X(linkInfo, link_read_info)                                                                                    \
	X(openRingBuffer, ring_buffer_open)                                                                            \
	X(trimMemory, memory_trim)                                                                                     \
	X(noteExpediting, rcu_keep_note)                                                                               \
	X(mountBpffs, bpffs_mount)                                                                                     \
	X(unmount, path_unmount)                                                                                       \
	X(createNetns, netns_create)                                                                                   \
	X(deleteNetns, netns_delete)                                                                                   \
	X(createVeth, link_new_veth)                                                                                   \
	X(createTunnel, link_new_tunnel)                                                                               \
	X(createBridge, link_new_bridge)                                                                               \
	X(createTap, link_new_tap)                                                                                     \
	X(setLink, link_change)                                                                                        \
	X(getLink, link_read)                                                                                          \
	X(listLinks, link_list)                                                                                        \
	X(deleteLink, link_remove)                                                                                     \
	X(addAddress, address_add)                                                                                     \
	X(deleteAddress, address_delete)                                                                               \
	X(addRoute, route_add)                                                                                         \
	X(deleteRoute, route_delete)                                                                                   \
	X(routeGet, route_get)                                                                                         \
	X(listRoutes, route_list)                                                                                      \
	X(watchRoutes, route_watch)                                                                                    \
	X(getNeighbour, neighbour_get)                                                                                 \
	X(setNeighbour, neighbour_set)                                                                                 \
	X(deleteNeighbour, neighbour_delete)                                                                           \
	X(watchNeighbours, neighbour_watch)                                                                            \
	X(setFeatures, ethtool_set_features)                                                                           \
	X(getFeatures, ethtool_get_features)                                                                           \
	X(driverOf, ethtool_driver)                                                                                    \
	X(setSysctl, sysctl_set)                                                                                       \
	X(getSysctl, sysctl_get)                                                                                       \
	X(setRps, sysctl_set_rps)                                                                                      \
	X(createEndpointInterface, endpoint_create)

#define DECLARE(js_name, function) napi_value function(napi_env env, napi_callback_info info);
EACH_FUNCTION(DECLARE)
#undef DECLARE
