/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Where a message goes: into the peer's queue, or over TCP.
 *
 * The peer reads its queue before what TCP brought. So a direction may change from the
 * queue to TCP, once, and never back: `state` is sticky. */

/* How many bytes wait for the socket itself to read them. RMEM_ALLOC: the offset of
 * sk_backlog.rmem_alloc in struct sock, from the running kernel's BTF. */
static __always_inline u32 read_unread_bytes(struct bpf_sock *sk)
{
	void *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? *(volatile u32 *)(tp + RMEM_ALLOC) : 0;
}

/* First the backlog, then `seen`: the other side reads them the other way round, and
 * between the two it counts something twice rather than not at all. */
static __always_inline void publish_backlog(struct half *incoming, struct bpf_sock *sk)
{
	u64 seen = *(volatile u64 *)&incoming->sent;

	*(volatile u32 *)&incoming->backlog = read_unread_bytes(sk);
	*(volatile u64 *)&incoming->seen = seen;
}

static __always_inline int demote_to_tcp(struct half *half, u32 why)
{
	*(volatile u32 *)&half->state = HALF_TCP;
	count_event(why);
	return SK_PASS;
}

static __always_inline int redirect_message(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct fast_counts *count;
	struct fast_config *c;
	struct member *member;
	struct pair *pair;
	struct half *half;
	u64 seen, waiting, mine, peer;
	u32 size = msg->size;
	long verdict;
	bool client;

	if (!sk)
		return SK_PASS;
	member = members.sk_storage_get(sk, 0, 0);
	if (!member)
		return SK_PASS;
	pair = pairs.lookup(&member->client);
	if (!pair) {
		count_event(FAST_DEMOTED_FORGOTTEN);   /* it never comes back */
		return SK_PASS;
	}
	client = member->side == CLIENT;
	publish_backlog(client ? &pair->halves[PROXY] : &pair->halves[CLIENT], sk);
	half = client ? &pair->halves[CLIENT] : &pair->halves[PROXY];
	if (half->state == HALF_TCP)
		return SK_PASS;
	c = lookup_config();
	if (!c)
		return demote_to_tcp(half, FAST_DEMOTED_OFF);
	seen = *(volatile u64 *)&half->seen;
	waiting = half->sent - seen + *(volatile u32 *)&half->backlog + size;
	if (waiting > c->budget)
		return demote_to_tcp(half, FAST_DEMOTED_BUDGET);
	mine = end_of(member->client, client ? CLIENT : PROXY);
	peer = mine ^ 1;
	if (half->state == HALF_NEW && claim_direction(half, &mine, HALF_FAST) == HALF_TCP)
		return SK_PASS;
	half->sent += size;
	verdict = socks.msg_redirect_hash(msg, &peer, BPF_F_INGRESS);
	if (verdict != SK_PASS)
		return demote_to_tcp(half, FAST_DEMOTED_NO_PEER);
	count = lookup_counts();
	if (count) {
		count->of[FAST_MESSAGES] += 1;
		count->of[FAST_BYTES] += size;
	}
	return SK_PASS;
}
