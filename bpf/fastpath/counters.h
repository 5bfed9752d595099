/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* OUTCOMES in netplan_tproxy/datapath/fastpath.py has the same names in the same order. */
enum fast_outcome {
	FAST_ENROLLED_CLIENT,
	FAST_ENROLLED_PROXY,
	FAST_MESSAGES,
	FAST_BYTES,
	FAST_DEMOTED_BUDGET,      /* the reader does not keep up */
	FAST_DEMOTED_NO_PEER,     /* the other end is not enrolled */
	FAST_DEMOTED_FORGOTTEN,   /* its pair has ended */
	FAST_DEMOTED_OFF,         /* the fast path was switched off */
	FAST_LEFT_HALF_CLOSED,    /* closed its own side before anything was redirected to it */
	FAST_LEFT_DEMOTED,        /* demoted before anything was redirected to it */
	FAST_REFUSED_EARLY_DATA,  /* TCP fast open */
	FAST_REFUSED_MPTCP,
	FAST_REFUSED_NO_MEMORY,
	FAST_REFUSED_FULL,        /* `pairs` has no place left */
	FAST_OUTCOMES,
};
struct fast_counts {
	u64 of[16];
};
BPF_TABLE("percpu_array", u32, struct fast_counts, fast_counters, 1);

static __always_inline struct fast_counts *lookup_counts(void)
{
	u32 zero = 0;

	return fast_counters.lookup(&zero);
}

static __always_inline void count_event(u32 outcome)
{
	struct fast_counts *counts = lookup_counts();

	if (counts)
		counts->of[outcome] += 1;
}
