/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* An array of one: it is looked up without a call. A budget of 0: switched off. */
struct fast_config {
	u64 ports;             /* a set in `sets`; 0: all */
	u64 budget;            /* bytes that may wait for one reader */
};
BPF_TABLE("array", u32, struct fast_config, fast_config, 1);

/* NULL: the fast path is switched off. */
static __always_inline struct fast_config *lookup_config(void)
{
	u32 zero = 0;
	struct fast_config *c = fast_config.lookup(&zero);

	return c && c->budget ? c : NULL;
}
