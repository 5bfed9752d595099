/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* A flow as its packets name it. Addresses are 128 bits in network order; an IPv4 address
 * is mapped into ::ffff:0:0/96 (RFC 4291, 2.5.5.2). The first 36 bytes are laid out like
 * bpf_sock_tuple.ipv6, so that a key can be looked up as a socket's tuple. */
struct flow_key {
	u32 saddr[4];
	u32 daddr[4];
	u16 sport;
	u16 dport;
	u32 proto;
};

static __always_inline void map_ipv4(u32 *to, u32 addr)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = addr;
}

/* The same flow, seen from its other end. */
static __always_inline void reverse_key(struct flow_key *to, const struct flow_key *from)
{
	__builtin_memcpy(to->saddr, from->daddr, 16);
	__builtin_memcpy(to->daddr, from->saddr, 16);
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
}
