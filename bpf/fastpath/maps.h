/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The maps of the fast path. User space creates them (netplan_tproxy/fastpath.py). */

enum side { CLIENT, PROXY };

/* An intercepted connection as its client sees it. Programs on a cgroup meet sockets
 * of every network namespace, and two of them may use the same addresses. */
struct name {
	struct flow_key flow;
	u64 netns;             /* the namespace's cookie */
};

/* A connection goes by its client's socket cookie, which is never given out twice; its
 * two ends by twice that, and one more for the proxy's. Asked for every message: short. */
static __always_inline u64 end_of(u64 client, u32 side)
{
	return client << 1 | side;
}

/* Full: a connection whose proxy comes too late is not enrolled. */
BPF_TABLE("lru_hash", struct name, u64, names, 65536);

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
	struct name name;
	struct half halves[2]; /* by the sender's side */
};

/* Full: the least recently used pair is forgotten, and its connection goes on over TCP. */
BPF_TABLE("lru_hash", u64, struct pair, pairs, 65536);

struct member {
	u64 client;
	u64 side;
};
BPF_SK_STORAGE(members, struct member);

BPF_SOCKHASH(socks, u64, 131072);

/* An array of one: it is looked up without a call. A budget of 0: switched off. */
struct fast_config {
	u64 ports;             /* a set in `sets`; 0: all */
	u64 budget;            /* bytes that may wait for one reader */
};
BPF_TABLE("array", u32, struct fast_config, fast_config, 1);

/* The order is that of OUTCOMES (netplan_tproxy/fastpath.py). */
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
	FAST_LEFT_DEMOTED,        /* demoted before anything was redirected to it */
	FAST_REFUSED_EARLY_DATA,  /* TCP fast open */
	FAST_REFUSED_MPTCP,
	FAST_REFUSED_NO_MEMORY,
	FAST_OUTCOMES,
};
struct fast_counts {
	u64 of[16];
};
BPF_TABLE("percpu_array", u32, struct fast_counts, fast_counters, 1);

static __always_inline struct fast_counts *counts(void)
{
	u32 zero = 0;

	return fast_counters.lookup(&zero);
}

static __always_inline void tally(u32 outcome)
{
	struct fast_counts *c = counts();

	if (c)
		c->of[outcome] += 1;
}

static __always_inline struct fast_config *switched_on(void)
{
	u32 zero = 0;
	struct fast_config *c = fast_config.lookup(&zero);

	return c && c->budget ? c : NULL;
}

/* Two CPUs may decide at once what a direction that is new becomes: who puts the entry
 * there does. (BCC's compiler knows no compare-and-swap; only one can insert a key.) The
 * key is the sender's end. */
BPF_TABLE("lru_hash", u64, u32, claims, 131072);

/* Gives the state that the direction had until now. */
static __always_inline u32 claim(struct half *half, u64 *sender, u32 state)
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
