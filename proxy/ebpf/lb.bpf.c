// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Load balancing where connections begin: a socket that connects or sends to a virtual address gets one of the endpoints
// instead, before there is any packet. Afterwards nothing stands between the two pods.
//
// layout.ts describes the maps for the other side; a change here must be made there too, and build.sh run.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define ALLOW 1
#define REFUSE 0
#define PROTO_TCP 6
#define PROTO_UDP 17
#define REFUSED (-111) // ECONNREFUSED

// Addresses and ports are in network order throughout. Port and protocol are 0 for a virtual address: it stands for its
// endpoints on every port. With them it is a published port of this host.
struct balancer_key {
  u32 ip;
  u16 port;
  u8 protocol;
  u8 zero;
};

// Its endpoints are `count` slots from `base` on; `counter` is where it counts connections.
struct balancer {
  u32 counter;
  u32 base;
  u32 count;
  u32 zero;
};

// Port 0: the port that was asked for.
struct backend {
  u32 ip;
  u16 port;
  u16 zero;
};

// What a socket asked for, by the socket and what it got.
struct reverse_key {
  u64 socket;
  u32 ip;
  u32 port;
};

struct reverse {
  u32 ip;
  u32 port;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct balancer_key);
  __type(value, struct balancer);
} balancers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 262144);
  __type(key, u32);
  __type(value, struct backend);
} backends SEC(".maps");

// Apart from the balancers, so that changing endpoints never resets a count.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, u64);
} counters SEC(".maps");

// One for each protocol: many short TCP connections must not push out what UDP answers depend on.
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 32768);
  __type(key, struct reverse_key);
  __type(value, struct reverse);
} reverse_tcp SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 32768);
  __type(key, struct reverse_key);
  __type(value, struct reverse);
} reverse_udp SEC(".maps");

// [0]: cookie of this host's network namespace. Published ports are translated only there: 127.0.0.1 in a pod is the pod.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, u64);
} settings SEC(".maps");

static __always_inline int is_host(struct bpf_sock_addr *ctx) {
  u32 zero = 0;
  u64 *host = bpf_map_lookup_elem(&settings, &zero);
  return host && *host == bpf_get_netns_cookie(ctx);
}

static __always_inline int translate(struct bpf_sock_addr *ctx, u8 protocol) {
  struct balancer_key key = {.ip = ctx->user_ip4};
  u32 asked_port = ctx->user_port;
  struct balancer *balancer = bpf_map_lookup_elem(&balancers, &key);
  if (!balancer) {
    if (!is_host(ctx)) return ALLOW;
    key.port = asked_port;
    key.protocol = protocol;
    balancer = bpf_map_lookup_elem(&balancers, &key);
    if (!balancer) return ALLOW;
  }
  u32 count = balancer->count;
  if (!count) {
    bpf_set_retval(REFUSED);
    return REFUSE;
  }
  u32 base = balancer->base, index = balancer->counter;
  u64 *counter = bpf_map_lookup_elem(&counters, &index);
  if (!counter) return ALLOW;
  u32 slot = base + (u32)(__sync_fetch_and_add(counter, 1) % count);
  struct backend *backend = bpf_map_lookup_elem(&backends, &slot);
  if (!backend) return ALLOW;
  u32 ip = backend->ip, port = backend->port ? backend->port : asked_port;

  struct reverse_key reverse_key = {.socket = bpf_get_socket_cookie(ctx), .ip = ip, .port = port};
  struct reverse reverse = {.ip = key.ip, .port = asked_port};
  if (protocol == PROTO_TCP) bpf_map_update_elem(&reverse_tcp, &reverse_key, &reverse, BPF_ANY);
  else bpf_map_update_elem(&reverse_udp, &reverse_key, &reverse, BPF_ANY);
  ctx->user_ip4 = ip;
  ctx->user_port = port;
  return ALLOW;
}

static __always_inline void restore(struct bpf_sock_addr *ctx, void *map) {
  struct reverse_key key = {.socket = bpf_get_socket_cookie(ctx), .ip = ctx->user_ip4, .port = ctx->user_port};
  struct reverse *reverse = bpf_map_lookup_elem(map, &key);
  if (!reverse) return;
  ctx->user_ip4 = reverse->ip;
  ctx->user_port = reverse->port;
}

SEC("cgroup/connect4")
int tsorch_connect(struct bpf_sock_addr *ctx) {
  u32 protocol = ctx->protocol;
  if (protocol == PROTO_TCP) return translate(ctx, PROTO_TCP);
  if (protocol == PROTO_UDP) return translate(ctx, PROTO_UDP);
  return ALLOW;
}

SEC("cgroup/sendmsg4")
int tsorch_sendmsg(struct bpf_sock_addr *ctx) {
  if (ctx->protocol != PROTO_UDP) return ALLOW;
  return translate(ctx, PROTO_UDP);
}

// Answers seem to come from whom the question went to.
SEC("cgroup/recvmsg4")
int tsorch_recvmsg(struct bpf_sock_addr *ctx) {
  restore(ctx, &reverse_udp);
  return ALLOW;
}

SEC("cgroup/getpeername4")
int tsorch_peername(struct bpf_sock_addr *ctx) {
  if (ctx->protocol == PROTO_TCP) restore(ctx, &reverse_tcp);
  else restore(ctx, &reverse_udp);
  return ALLOW;
}

// bpf_set_retval and the others are open to GPL-compatible programs only.
char _license[] SEC("license") = "Dual BSD/GPL";
