/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The two ends of an intercepted connection. User space creates the maps
 * (netplan_tproxy/datapath/fastpath.py); what stands here gives their layouts. */

enum side { CLIENT, PROXY };

/* An intercepted connection as its client sees it. Programs on a cgroup meet sockets of every
 * network namespace, and two namespaces may use the same addresses. */
struct name {
	struct flow_key flow;
	u64 netns;             /* the namespace's cookie */
};

/* A connection goes by its client's socket cookie, which is never given out again; its ends
 * by twice that, and one more for the proxy's. Looked up for every message: short. */
static __always_inline u64 end_of(u64 client, u32 side)
{
	return client << 1 | side;
}

/* From the client's establishment to the proxy's. A full table forgets the least recently
 * used: a connection whose proxy comes too late is not enrolled. */
BPF_TABLE("lru_hash", struct name, u64, names, 65536);

/* What one side sends. `sent` counts the bytes that were redirected; whenever the receiver
 * sends something itself it notes that count, and how many bytes wait for it. */
enum half_state { HALF_NEW, HALF_FAST, HALF_TCP };
struct half {
	u64 sent;
	u64 seen;
	u32 backlog;
	u32 state;
};
struct pair {
	struct name name;
	struct half halves[2]; /* by the sender's side */
	u32 inside[2];         /* by side: whether that end is in `socks` */
};

/* This table is the bound of the fast path. It forgets nobody: whoever is in stays in, and
 * whoever comes to a full one is not enrolled, which costs nothing. */
BPF_TABLE("hash", u64, struct pair, pairs, 65536);

/* What an enrolled socket knows of itself. */
struct member {
	u64 client;
	u64 side;
};
BPF_SK_STORAGE(members, struct member);

BPF_SOCKHASH(socks, u64, 131072);
