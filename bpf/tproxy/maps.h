/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The maps. User space creates them (netplan_tproxy/datapath.py) and puts their
 * descriptors into the program; what stands here gives the layouts. */

struct listener {
	u32 addr;              /* network order */
	u16 port;              /* network order */
	u16 enabled;
};

struct config {
	u32 mark;
	u32 mark_mask;
	u32 bypass;
	u32 bypass_mask;
	u32 lo;                /* ifindex of the loopback device */
	u32 reserved;
	struct listener tcp4;
};

/* A hash, not an array: an update swaps the whole element under RCU, so no
 * packet sees half of it. */
BPF_TABLE("hash", u32, struct config, config, 1);

enum verdict { VERDICT_BYPASS = 1, VERDICT_INTERCEPT, VERDICT_REPLY };

/* Lives and dies with a socket: the client's (BYPASS, INTERCEPT) or the
 * proxy's (REPLY: the client is bound to a device). */
struct flow {
	u32 verdict;
	u32 ifindex;
	u32 daddr;
	u16 dport;
	u16 pad;
};
BPF_SK_STORAGE(flows, struct flow);

/* The intercepted connections of late, for packets that no socket speaks for: the
 * last ones of a connection whose two ends may both be gone. The value is the
 * device that replies must arrive on, 0 where the client is bound to none; the
 * proxy's socket carries it in `flows` as soon as it exists. */
struct reply_key {
	u32 client;
	u32 server;
	u16 client_port;
	u16 server_port;
};
BPF_TABLE("lru_hash", struct reply_key, u32, replies, 65536);

struct counter_key {
	u32 ifindex;
	u32 outcome;
};
struct counter {
	u64 packets;
	u64 bytes;
};
BPF_TABLE("percpu_hash", struct counter_key, struct counter, counters, 4096);
