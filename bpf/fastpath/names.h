/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The verifier wants each load at the context's own pointer plus a constant: the compiler
 * must not choose between two fields first and load then. */
#define FIELD(field) ({ u32 read = (field); asm volatile("" : "+r"(read)); read; })

static __always_inline void copy_address(u32 *to, u32 family, u32 v4, u32 a, u32 b, u32 c, u32 d)
{
	bool v6 = family == AF_INET6;

	to[0] = v6 ? a : 0;
	to[1] = v6 ? b : 0;
	to[2] = v6 ? c : bpf_htonl(0xffff);
	to[3] = v6 ? d : v4;
}

/* `side`: the side that the socket is on; a name is seen from the client. */
static __always_inline void fill_name(struct bpf_sock_ops *ops, struct name *name, u32 side)
{
	u16 local = bpf_htons(ops->local_port), remote = ops->remote_port >> 16;
	u32 here[4], there[4];

	copy_address(here, ops->family, FIELD(ops->local_ip4),
		FIELD(ops->local_ip6[0]), FIELD(ops->local_ip6[1]),
		FIELD(ops->local_ip6[2]), FIELD(ops->local_ip6[3]));
	copy_address(there, ops->family, FIELD(ops->remote_ip4),
		FIELD(ops->remote_ip6[0]), FIELD(ops->remote_ip6[1]),
		FIELD(ops->remote_ip6[2]), FIELD(ops->remote_ip6[3]));
	__builtin_memcpy(name->flow.saddr, side == CLIENT ? here : there, 16);
	__builtin_memcpy(name->flow.daddr, side == CLIENT ? there : here, 16);
	name->flow.sport = side == CLIENT ? local : remote;
	name->flow.dport = side == CLIENT ? remote : local;
	name->flow.proto = IPPROTO_TCP;
	name->netns = bpf_get_netns_cookie(ops);
}
