/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

struct counter_key {
	u32 ifindex;
	u32 outcome;
};
struct counter {
	u64 packets;
	u64 bytes;
};
BPF_TABLE("percpu_hash", struct counter_key, struct counter, counters, 8192);

static __always_inline void count_packet(struct __sk_buff *skb, u32 ifindex, u32 outcome)
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
