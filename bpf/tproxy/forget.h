/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The verifier walks what follows once for each value that it knows something to have. What
 * is added to a value to make it forget: nothing, which it does not know, as it takes the two
 * loads for two numbers. */
static __always_inline u32 unknown_nothing(struct __sk_buff *skb)
{
	volatile u32 *length = &skb->len;
	u32 one = *length, other = *length;

	return one - other;
}
