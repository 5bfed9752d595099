/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a connection of a client that is bound to no device was intercepted of late: asked
 * for packets that are sent when neither end has a socket any more. */

static __always_inline u64 mix_words(u64 sum, u32 one, u32 two)
{
	sum = (sum ^ ((u64)one << 32 | two)) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 32;
}

/* Never 0, which is an empty slot. */
static __always_inline u64 digest_key(const struct flow_key *k)
{
	u64 sum = mix_words(mix_words(0, k->saddr[0], k->saddr[1]), k->saddr[2], k->saddr[3]);

	sum = mix_words(mix_words(sum, k->daddr[0], k->daddr[1]), k->daddr[2], k->daddr[3]);
	return mix_words(sum, (u32)k->sport << 16 | k->dport, k->proto) | 1;
}

static __always_inline u64 *lookup_recent_slot(u64 digest)
{
	u32 index = digest >> 48;

	return recent.lookup(&index);
}

static __always_inline bool was_intercepted_of_late(const struct flow_key *k)
{
	u64 digest = digest_key(k), *slot = lookup_recent_slot(digest);

	return slot && *slot == digest;
}

static __always_inline void remember_recent(const struct flow_key *k)
{
	u64 digest = digest_key(k), *slot = lookup_recent_slot(digest);

	if (slot)
		*slot = digest;
}

static __always_inline void forget_recent(const struct flow_key *k)
{
	u64 digest = digest_key(k), *slot = lookup_recent_slot(digest);

	if (slot && *slot == digest)
		*slot = 0;
}
