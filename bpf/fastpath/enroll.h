/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Which sockets take part: the two ends of an intercepted connection, from the moment
 * they are established. */

#define AF_INET6 10   /* sys/socket.h is no header for a kernel program */

/* The verifier wants each load at the context's own pointer plus a constant: the compiler
 * must not choose between two fields first and load then. */
#define FIELD(field) ({ u32 read = (field); asm volatile("" : "+r"(read)); read; })

static __always_inline void address(u32 *to, u32 family, u32 v4, u32 a, u32 b, u32 c, u32 d)
{
	bool v6 = family == AF_INET6;

	to[0] = v6 ? a : 0;
	to[1] = v6 ? b : 0;
	to[2] = v6 ? c : bpf_htonl(0xffff);
	to[3] = v6 ? d : v4;
}

/* `side` is that of the socket; the name is seen from the client. */
static __always_inline void name_it(struct bpf_sock_ops *ops, struct name *name, u32 side)
{
	u16 local = bpf_htons(ops->local_port), remote = ops->remote_port >> 16;
	u32 here[4], there[4];

	address(here, ops->family, FIELD(ops->local_ip4),
		FIELD(ops->local_ip6[0]), FIELD(ops->local_ip6[1]),
		FIELD(ops->local_ip6[2]), FIELD(ops->local_ip6[3]));
	address(there, ops->family, FIELD(ops->remote_ip4),
		FIELD(ops->remote_ip6[0]), FIELD(ops->remote_ip6[1]),
		FIELD(ops->remote_ip6[2]), FIELD(ops->remote_ip6[3]));
	__builtin_memcpy(name->flow.saddr, side == CLIENT ? here : there, 16);
	__builtin_memcpy(name->flow.daddr, side == CLIENT ? there : here, 16);
	name->flow.sport = side == CLIENT ? local : remote;
	name->flow.dport = side == CLIENT ? remote : local;
	name->flow.proto = IPPROTO_TCP;
	name->netns = bpf_get_netns_cookie(ops);
}

/* What came or went before is in TCP's own queues, behind our back. */
static __always_inline bool fit(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	if (ops->data_segs_in || ops->data_segs_out) {
		tally(FAST_REFUSED_EARLY_DATA);
		return false;
	}
	if (bpf_skc_to_mptcp_sock(sk)) {
		tally(FAST_REFUSED_MPTCP);
		return false;
	}
	return true;
}

static __always_inline void enroll(struct bpf_sock_ops *ops, struct bpf_sock *sk,
				   u64 client, u32 side)
{
	struct member *member = members.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	u64 end = end_of(client, side);
	long failed;

	if (!member) {
		tally(FAST_REFUSED_NO_MEMORY);
		return;
	}
	member->client = client;
	member->side = side;
	/* BCC puts a semicolon behind these calls: each is a statement. */
	failed = socks.sock_hash_update(ops, &end, BPF_ANY);
	if (failed) {
		tally(FAST_REFUSED_NO_MEMORY);
		return;
	}
	tally(side == CLIENT ? FAST_ENROLLED_CLIENT : FAST_ENROLLED_PROXY);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG
				       | BPF_SOCK_OPS_RTT_CB_FLAG);
}

/* The verdict of wan_egress is with the client's socket since its SYN. */
static __always_inline void client_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct fast_config *c;
	struct pair pair = {};
	struct flow *flow;
	u64 client;

	if (!sk)
		return;
	flow = flows.sk_storage_get(sk, 0, 0);
	if (!flow || flow->verdict != VERDICT_INTERCEPT)
		return;
	c = switched_on();
	if (!c || (c->ports && !port_in(c->ports, flow->dport)))
		return;
	if (!fit(ops, sk))
		return;
	name_it(ops, &pair.name, CLIENT);
	client = bpf_get_socket_cookie(ops);
	if (pairs.update(&client, &pair) || names.update(&pair.name, &client)) {
		tally(FAST_REFUSED_NO_MEMORY);
		return;
	}
	enroll(ops, sk, client, CLIENT);
}

/* Its client was established first: it answered the SYN-ACK. */
static __always_inline void proxy_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct name name = {};
	u64 *client;

	if (!sk || !switched_on())
		return;
	name_it(ops, &name, PROXY);
	client = names.lookup(&name);
	if (client && fit(ops, sk))
		enroll(ops, sk, *client, PROXY);
}

static __always_inline void forget(u64 client, struct pair *pair)
{
	u64 one = end_of(client, CLIENT), other = end_of(client, PROXY);
	struct name name = pair->name;
	u64 *named = names.lookup(&name);

	if (named && *named == client)
		names.delete(&name);   /* else a later connection has these addresses */
	claims.delete(&one);
	claims.delete(&other);
	pairs.delete(&client);
}

/* Out of `socks`, if nothing was ever redirected to it: only then nothing can be on its way
 * that would be lost with the queue. */
static __always_inline void leave(struct member *member, struct pair *pair, u32 why)
{
	u64 mine = end_of(member->client, member->side == CLIENT ? CLIENT : PROXY);
	u64 peer = mine ^ 1;
	struct half *back;

	back = member->side == CLIENT ? &pair->halves[PROXY] : &pair->halves[CLIENT];
	if (claim(back, &peer, HALF_TCP) != HALF_NEW)
		return;
	socks.delete(&mine);
	tally(why);
}

/* A blocked recv() of a socket in `socks` ends with EAGAIN when the socket's state
 * changes. So one that shuts its sending side leaves. */
static __always_inline void state_changed(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct member *member;
	struct pair *pair;

	if (!sk || (ops->args[1] != BPF_TCP_FIN_WAIT1 && ops->args[1] != BPF_TCP_CLOSE))
		return;
	member = members.sk_storage_get(sk, 0, 0);
	if (!member)
		return;
	pair = pairs.lookup(&member->client);
	if (!pair)
		return;
	if (ops->args[1] == BPF_TCP_CLOSE)
		forget(member->client, pair);
	else
		leave(member, pair, FAST_LEFT_HALF_CLOSED);
}

/* What it has sent over TCP was acknowledged. A direction that is TCP stays so, and a socket
 * in `socks` pays for every message that it sends: it leaves, or is asked no more. */
static __always_inline void acknowledged(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct member *member;
	struct pair *pair;
	struct half *out;

	if (!sk)
		return;
	member = members.sk_storage_get(sk, 0, 0);
	if (!member)
		return;
	pair = pairs.lookup(&member->client);
	if (pair) {
		out = member->side == CLIENT ? &pair->halves[CLIENT] : &pair->halves[PROXY];
		if (out->state != HALF_TCP)
			return;   /* the handshake, or an early segment */
		leave(member, pair, FAST_LEFT_DEMOTED);
	}
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
}
