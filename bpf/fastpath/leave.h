/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* When a socket takes part no more. */

static __always_inline void forget_pair(u64 client, struct pair *pair)
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
 * that would be lost with the queue. The last one to leave gives the pair's place away. */
static __always_inline void leave_socks(struct member *member, struct pair *pair, u32 why)
{
	bool client = member->side == CLIENT;
	u64 mine = end_of(member->client, client ? CLIENT : PROXY);
	u64 peer = mine ^ 1;
	struct half *back;
	u32 peer_inside;

	back = client ? &pair->halves[PROXY] : &pair->halves[CLIENT];
	if (claim_direction(back, &peer, HALF_TCP) != HALF_NEW)
		return;
	socks.delete(&mine);
	count_event(why);
	*(volatile u32 *)(client ? &pair->inside[CLIENT] : &pair->inside[PROXY]) = 0;
	peer_inside = *(volatile u32 *)(client ? &pair->inside[PROXY] : &pair->inside[CLIENT]);
	if (!peer_inside)
		forget_pair(member->client, pair);
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
		forget_pair(member->client, pair);
	else
		leave_socks(member, pair, FAST_LEFT_HALF_CLOSED);
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
		leave_socks(member, pair, FAST_LEFT_DEMOTED);
	}
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
}
