/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Which sockets take part: the two ends of an intercepted connection, from the moment they
 * are established. */

/* What came or went before is in TCP's own queues, behind our back. */
static __always_inline bool can_enroll(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	if (ops->data_segs_in || ops->data_segs_out) {
		count_event(FAST_REFUSED_EARLY_DATA);
		return false;
	}
	if (bpf_skc_to_mptcp_sock(sk)) {
		count_event(FAST_REFUSED_MPTCP);
		return false;
	}
	return true;
}

/* Whether the socket is in `socks` now. */
static __always_inline bool enroll(struct bpf_sock_ops *ops, struct bpf_sock *sk,
				   u64 client, u32 side)
{
	struct member *member = members.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	u64 end = end_of(client, side);
	long failed;

	if (!member) {
		count_event(FAST_REFUSED_NO_MEMORY);
		return false;
	}
	member->client = client;
	member->side = side;
	/* BCC puts a semicolon behind these calls: each is a statement. */
	failed = socks.sock_hash_update(ops, &end, BPF_ANY);
	if (failed) {
		members.sk_storage_delete(sk);
		count_event(FAST_REFUSED_NO_MEMORY);
		return false;
	}
	count_event(side == CLIENT ? FAST_ENROLLED_CLIENT : FAST_ENROLLED_PROXY);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG
				       | BPF_SOCK_OPS_RTT_CB_FLAG);
	return true;
}

/* The verdict of wan_egress is with the client's socket since its SYN. */
static __always_inline void client_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct fast_config *c;
	struct pair pair = {};
	struct socket_verdict *kept;
	u64 client;
	long full;

	if (!sk)
		return;
	kept = flows.sk_storage_get(sk, 0, 0);
	if (!kept || kept->verdict != VERDICT_INTERCEPT)
		return;
	c = lookup_config();
	if (!c || (c->ports && !is_port_in_set(c->ports, kept->dport)))
		return;
	if (!can_enroll(ops, sk))
		return;
	fill_name(ops, &pair.name, CLIENT);
	client = bpf_get_socket_cookie(ops);
	pair.inside[CLIENT] = 1;
	full = pairs.update(&client, &pair);
	if (full) {
		count_event(FAST_REFUSED_FULL);
		return;
	}
	if (!enroll(ops, sk, client, CLIENT)) {
		pairs.delete(&client);
		return;
	}
	/* Without a name its proxy is not enrolled, and the client leaves by its first message. */
	names.update(&pair.name, &client);
}

/* Its client was established first: it answered the SYN-ACK. */
static __always_inline void proxy_established(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct name name = {};
	struct pair *pair;
	u64 *named, client;

	if (!sk || !lookup_config())
		return;
	fill_name(ops, &name, PROXY);
	named = names.lookup(&name);
	if (!named)
		return;
	client = *named;
	names.delete(&name);
	pair = pairs.lookup(&client);
	if (!pair || !can_enroll(ops, sk))
		return;
	if (enroll(ops, sk, client, PROXY))
		*(volatile u32 *)&pair->inside[PROXY] = 1;
}
