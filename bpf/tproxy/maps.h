/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The maps. User space creates them (netplan_tproxy/datapath.py) and puts their
 * descriptors into the program; what stands here gives the layouts. */

/* Addresses are 128 bits in network order; IPv4 ones are mapped, ::ffff:0:0/96
 * (RFC 4291, 2.5.5.2). The first 36 bytes are those of bpf_sock_tuple.ipv6. */
struct flow_key {
	u32 saddr[4];
	u32 daddr[4];
	u16 sport;
	u16 dport;
	u32 proto;
};

struct listener {
	u32 addr[4];           /* network order, IPv4 in the last word */
	u16 port;              /* network order */
	u16 enabled;
};

struct mark {
	u32 value;
	u32 mask;
};

#define BYPASS_MARKS 8

/* Each u64 names a set in `sets`; 0: this dimension is not named in the file. */
struct policy {
	u64 from;
	u64 to;
	u64 ports;
	u64 bypass_from;
	u64 bypass_to;
	u64 bypass_ports;
	u64 bypass_users;
	u64 bypass_cgroups;
};

struct config {
	struct policy policy;
	struct mark intercept;
	struct mark bypass[BYPASS_MARKS];   /* unused ones have mask 0 */
	struct listener listeners[4];       /* tcp, tcp6, udp, udp6 */
	u32 lo;                             /* ifindex of the loopback device */
	u32 when_down;
};

/* A hash, not an array: an update swaps the whole element under RCU, so a
 * packet sees the old policy or the new one, never half of one. */
BPF_TABLE("hash", u32, struct config, config, 1);

/* Sets of prefixes, each filled and frozen before the config names it: networks
 * (128 bits), ports (16), users (32) and cgroup ids (64), in network order. */
struct prefix {
	u32 length;
	u32 bits[4];
};
BPF_F_TABLE("lpm_trie", struct prefix, u8, set, 1, BPF_F_NO_PREALLOC);
BPF_HASH_OF_MAPS(sets, u64, "set", 256);

enum verdict {
	VERDICT_BYPASS = 1,
	VERDICT_INTERCEPT,
	VERDICT_REPLY,     /* the proxy's socket: its client is bound to a device */
	VERDICT_PLAIN,     /* the proxy's socket: its client is bound to none */
};

/* Lives and dies with a TCP socket, the client's or the proxy's. Other versions of the
 * programs read it too, after an upgrade or when one is taken back: what a verdict means
 * must not change. */
struct flow {
	u32 daddr[4];
	u16 dport;
	u16 verdict;
	u32 more;          /* REPLY: the client's device. INTERCEPT: SETTLED, or 0 */
};
#define SETTLED 1          /* the handshake is over on both sides */
BPF_SK_STORAGE(flows, struct flow);

/* Verdicts of what has no local TCP socket to keep them: UDP, and forwarded TCP
 * that was intercepted. Full: the least recently used is forgotten; a UDP flow is
 * then decided again, a TCP one has its proxy socket. */
BPF_TABLE("lru_hash", struct flow_key, u32, tracked, 65536);

/* UDP that came in from outside, seen from our side: its answers are no flows of
 * ours. Apart from `tracked`, so that a flood from outside evicts none of those. */
BPF_TABLE("lru_hash", struct flow_key, u32, inbound, 65536);

/* The device that replies to a client must arrive on, where it is bound to one; the key
 * is seen from the client. Holds a TCP flow until the proxy's socket exists to carry it in
 * `flows`, and for the last packets of a flow whose two ends may both be gone; and UDP
 * flows. Every packet of a device-bound client puts an evicted entry back. */
BPF_TABLE("lru_hash", struct flow_key, u32, replies, 65536);

/* TCP flows of clients that are bound to none, by a digest (see recent.h): what comes to
 * the same slot replaces it. The first and last packets of a client note it. A store, where
 * an LRU table takes a lock and a node from a list: a fortieth of a short connection. */
BPF_TABLE("array", u32, u64, recent, 65536);

/* Datagrams whose first fragment was dropped, so that the later ones are too. */
struct fragment_key {
	u32 saddr[4];
	u32 daddr[4];
	u32 id;
	u32 proto;
};
BPF_TABLE("lru_hash", struct fragment_key, u32, fragments, 4096);

struct counter_key {
	u32 ifindex;
	u32 outcome;
};
struct counter {
	u64 packets;
	u64 bytes;
};
BPF_TABLE("percpu_hash", struct counter_key, struct counter, counters, 8192);
