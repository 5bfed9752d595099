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

/* `side` is that of the socket; the key is seen from the client. */
static __always_inline void name_end(struct bpf_sock_ops *ops, struct end *end, u32 side)
{
	struct flow_key *flow = &end->pair.flow;
	u16 local = bpf_htons(ops->local_port), remote = ops->remote_port >> 16;
	u32 here[4], there[4];

	address(here, ops->family, FIELD(ops->local_ip4),
		FIELD(ops->local_ip6[0]), FIELD(ops->local_ip6[1]),
		FIELD(ops->local_ip6[2]), FIELD(ops->local_ip6[3]));
	address(there, ops->family, FIELD(ops->remote_ip4),
		FIELD(ops->remote_ip6[0]), FIELD(ops->remote_ip6[1]),
		FIELD(ops->remote_ip6[2]), FIELD(ops->remote_ip6[3]));
	__builtin_memcpy(flow->saddr, side == CLIENT ? here : there, 16);
	__builtin_memcpy(flow->daddr, side == CLIENT ? there : here, 16);
	flow->sport = side == CLIENT ? local : remote;
	flow->dport = side == CLIENT ? remote : local;
	flow->proto = IPPROTO_TCP;
	end->pair.netns = bpf_get_netns_cookie(ops);
	end->side = side;
}

/* What came or went before is in TCP's own queues, behind our back. */
static __always_inline bool fit(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	if (ops->data_segs_in || ops->data_segs_out) {
		tally(FAST_REFUSED_EARLY_DATA, 1);
		return false;
	}
	if (bpf_skc_to_mptcp_sock(sk)) {
		tally(FAST_REFUSED_MPTCP, 1);
		return false;
	}
	return true;
}

static __always_inline void enroll(struct bpf_sock_ops *ops, struct bpf_sock *sk,
				   struct end *end, u64 client)
{
	struct member *member = members.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	long failed;

	if (!member) {
		tally(FAST_REFUSED_NO_MEMORY, 1);
		return;
	}
	member->end = *end;
	member->client = client;
	/* BCC puts a semicolon behind these calls: each is a statement. */
	failed = socks.sock_hash_update(ops, end, BPF_ANY);
	if (failed) {
		tally(FAST_REFUSED_NO_MEMORY, 1);
		return;
	}
	tally(end->side == CLIENT ? FAST_ENROLLED_CLIENT : FAST_ENROLLED_PROXY, 1);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void forget(struct end *one, struct end *other)
{
	pairs.delete(&one->pair);
	claims.delete(one);
	claims.delete(other);
}

/* The verdict of wan_egress is with the client's socket since its SYN. */
static __always_inline void client_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct fast_config *c;
	struct pair pair = {};
	struct end end = {}, other;
	struct flow *flow;
	u32 zero = 0;

	if (!sk)
		return;
	flow = flows.sk_storage_get(sk, 0, 0);
	if (!flow || flow->verdict != VERDICT_INTERCEPT)
		return;
	c = fast_config.lookup(&zero);
	if (!c || (c->ports && !port_in(c->ports, flow->dport)))
		return;
	if (!fit(ops, sk))
		return;
	name_end(ops, &end, CLIENT);
	other = end;
	other.side = PROXY;
	forget(&end, &other);
	pair.client = bpf_get_socket_cookie(ops);
	if (pairs.update(&end.pair, &pair)) {
		tally(FAST_REFUSED_NO_MEMORY, 1);
		return;
	}
	enroll(ops, sk, &end, pair.client);
}

/* Its client was established first: it answered the SYN-ACK. */
static __always_inline void proxy_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct end end = {};
	struct pair *pair;

	if (!sk)
		return;
	name_end(ops, &end, PROXY);
	pair = pairs.lookup(&end.pair);
	if (pair && fit(ops, sk))
		enroll(ops, sk, &end, pair->client);
}

/* A blocked recv() of a socket in `socks` ends with EAGAIN when the socket's state
 * changes. So one that shuts its sending side leaves, if nothing was ever redirected to
 * it: only then nothing can be on its way that would be lost with the queue. */
static __always_inline void state_changed(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct member *member;
	struct end end, peer;
	struct pair *pair;
	struct half *back;

	if (!sk || (ops->args[1] != BPF_TCP_FIN_WAIT1 && ops->args[1] != BPF_TCP_CLOSE))
		return;
	member = members.sk_storage_get(sk, 0, 0);
	if (!member)
		return;
	end = member->end;
	pair = pairs.lookup(&end.pair);
	if (!pair || pair->client != member->client)
		return;
	peer = end;
	peer.side = end.side == CLIENT ? PROXY : CLIENT;
	if (ops->args[1] == BPF_TCP_CLOSE) {
		forget(&end, &peer);
		return;
	}
	back = end.side == CLIENT ? &pair->halves[PROXY] : &pair->halves[CLIENT];
	if (claim(back, &peer, HALF_TCP) != HALF_NEW)
		return;
	socks.delete(&end);
	tally(FAST_LEFT_HALF_CLOSED, 1);
}
