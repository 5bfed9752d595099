/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Sets of prefixes: networks (128 bits), ports (16), users (32) and cgroup ids (64), all in
 * network order. User space fills a set and freezes it before the configuration names it. */
struct prefix {
	u32 length;
	u32 bits[4];
};
BPF_F_TABLE("lpm_trie", struct prefix, u8, set, 1, BPF_F_NO_PREALLOC);
BPF_HASH_OF_MAPS(sets, u64, "set", 256);

static __always_inline bool is_in_set(u64 id, const struct prefix *wanted)
{
	void *set = sets.lookup(&id);

	return set && bpf_map_lookup_elem(set, (void *)wanted);
}

static __always_inline bool is_network_in_set(u64 id, const u32 *addr)
{
	struct prefix wanted = {.length = 128, .bits = {addr[0], addr[1], addr[2], addr[3]}};

	return is_in_set(id, &wanted);
}

static __always_inline bool is_port_in_set(u64 id, u16 port)
{
	struct prefix wanted = {.length = 16};

	*(u16 *)wanted.bits = port;
	return is_in_set(id, &wanted);
}
