/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline void count(struct __sk_buff *skb, u32 ifindex, u32 outcome)
{
	struct counter_key key = {.ifindex = ifindex, .outcome = outcome};
	struct counter zero = {};
	struct counter *c = counters.lookup(&key);

	if (!c) {
		counters.update(&key, &zero);
		c = counters.lookup(&key);
		if (!c)
			return;
	}
	c->packets += 1;
	c->bytes += skb->len;
}

/* Not ours: TC_ACT_UNSPEC lets the filters behind ours run; TC_ACT_OK would not. */
static __always_inline int pass(struct __sk_buff *skb, u32 outcome)
{
	count(skb, skb->ifindex, outcome);
	return TC_ACT_UNSPEC;
}

static __always_inline int drop(struct __sk_buff *skb, u32 ifindex, u32 outcome)
{
	count(skb, ifindex, outcome);
	return TC_ACT_SHOT;
}
