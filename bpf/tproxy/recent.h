/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a connection of a client that is bound to no device was intercepted of late, for
 * what is said when neither end has a socket any more. */

static __always_inline u64 mix(u64 sum, u32 one, u32 two)
{
	sum = (sum ^ ((u64)one << 32 | two)) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 32;
}

/* Never 0: that is an empty slot. */
static __always_inline u64 digest(const struct flow_key *k)
{
	u64 sum = mix(mix(0, k->saddr[0], k->saddr[1]), k->saddr[2], k->saddr[3]);

	sum = mix(mix(sum, k->daddr[0], k->daddr[1]), k->daddr[2], k->daddr[3]);
	return mix(sum, (u32)k->sport << 16 | k->dport, k->proto) | 1;
}

static __always_inline u64 *slot_of(u64 sum)
{
	u32 index = sum >> 48;

	return recent.lookup(&index);
}

static __always_inline bool is_recent(const struct flow_key *k)
{
	u64 sum = digest(k), *slot = slot_of(sum);

	return slot && *slot == sum;
}

static __always_inline void note(const struct flow_key *k)
{
	u64 sum = digest(k), *slot = slot_of(sum);

	if (slot)
		*slot = sum;
}

static __always_inline void strike_out(const struct flow_key *k)
{
	u64 sum = digest(k), *slot = slot_of(sum);

	if (slot && *slot == sum)
		*slot = 0;
}
