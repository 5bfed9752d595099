/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The maps of the fast path. User space creates them (netplan_tproxy/layouts.py). */

enum side { CLIENT, PROXY };

/* An intercepted connection as its client sees it. Programs on a cgroup meet sockets
 * of every network namespace, and two of them may use the same addresses. */
struct pair_key {
	struct flow_key flow;
	u64 netns;             /* the namespace's cookie */
};

/* One end of it: also the key of its socket in `socks`. */
struct end {
	struct pair_key pair;
	u64 side;
};

/* What one side sends. `sent` counts what was redirected; the receiver notes how much
 * that was, and how much of it waits, whenever it sends something itself. */
enum half_state { HALF_NEW, HALF_FAST, HALF_TCP };
struct half {
	u64 sent;
	u64 seen;
	u32 backlog;
	u32 state;
};
struct pair {
	u64 client;            /* the client's socket cookie: a later one may have its port */
	struct half halves[2]; /* by the sender's side */
};

/* Full: the least recently used pair is forgotten, and its connection goes on over TCP. */
BPF_TABLE("lru_hash", struct pair_key, struct pair, pairs, 65536);

struct member {
	struct end end;
	u64 client;
};
BPF_SK_STORAGE(members, struct member);

BPF_SOCKHASH(socks, struct end, 131072);

struct fast_config {
	u64 ports;             /* a set in `sets`; 0: all */
	u64 budget;            /* bytes that may wait for one reader */
};
BPF_TABLE("hash", u32, struct fast_config, fast_config, 1);

/* The order is that of FAST_OUTCOMES (netplan_tproxy/fastpath.py). */
enum fast_outcome {
	FAST_ENROLLED_CLIENT,
	FAST_ENROLLED_PROXY,
	FAST_MESSAGES,
	FAST_BYTES,
	FAST_DEMOTED_BUDGET,      /* the reader does not keep up */
	FAST_DEMOTED_NO_PEER,     /* the other end is not enrolled */
	FAST_DEMOTED_FORGOTTEN,   /* its pair was evicted or has ended */
	FAST_DEMOTED_OFF,         /* the fast path was switched off */
	FAST_LEFT_HALF_CLOSED,    /* closed its own side before anything was redirected to it */
	FAST_REFUSED_EARLY_DATA,  /* TCP fast open */
	FAST_REFUSED_MPTCP,
	FAST_REFUSED_NO_MEMORY,
	FAST_OUTCOMES,
};
BPF_TABLE("percpu_array", u32, u64, fast_counters, 16);

/* Two CPUs may decide at once what a direction that is new becomes: who puts the entry
 * there does. (BCC's compiler knows no compare-and-swap; only one can insert a key.) The
 * key is the sender's end. */
BPF_TABLE("lru_hash", struct end, u32, claims, 131072);

/* Gives the state that the direction had until now. */
static __always_inline u32 claim(struct half *half, struct end *sender, u32 state)
{
	u32 *claimed;
	long taken;

	if (half->state != HALF_NEW)
		return half->state;
	taken = claims.insert(sender, &state);
	if (taken) {
		claimed = claims.lookup(sender);
		return claimed ? *claimed : HALF_TCP;
	}
	*(volatile u32 *)&half->state = state;
	return HALF_NEW;
}

static __always_inline void tally(u32 outcome, u64 by)
{
	u64 *counter = fast_counters.lookup(&outcome);

	if (counter)
		*counter += by;
}
