/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline bool in_set(u64 id, const struct prefix *what)
{
	void *found = sets.lookup(&id);

	return found && bpf_map_lookup_elem(found, (void *)what);
}

static __always_inline bool network_in(u64 id, const u32 *addr)
{
	struct prefix what = {.length = 128, .bits = {addr[0], addr[1], addr[2], addr[3]}};

	return in_set(id, &what);
}

static __always_inline bool port_in(u64 id, u16 port)
{
	struct prefix what = {.length = 16};

	*(u16 *)what.bits = port;
	return in_set(id, &what);
}
