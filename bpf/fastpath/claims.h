/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Two CPUs may decide at once what a new direction becomes: the first to insert its key here
 * does. (BCC's compiler knows no compare-and-swap; only one can insert a key.) The key is the
 * sender's end. */
BPF_TABLE("lru_hash", u64, u32, claims, 131072);

/* Returns the state that the direction had until now: HALF_NEW if it has `state` now. */
static __always_inline u32 claim_direction(struct half *half, u64 *sender, u32 state)
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
