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

/* What happens to a packet that goes neither to the proxy nor to its client.
 * Not ours: TC_ACT_UNSPEC lets the filters behind ours run; TC_ACT_OK would not. */
static __always_inline int action(u32 outcome)
{
	switch (outcome) {
	case OUT_FRAGMENT_DROPPED:   /* let out, part of the flow would leak */
	case OUT_NO_MEMORY:          /* let out, the connection would leak */
	case OUT_NO_LISTENER:        /* let in, some other server would get it */
	case OUT_ASSIGN_FAILED:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}
