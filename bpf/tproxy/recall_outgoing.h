/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What is remembered of a packet that this host's own sockets send: TCP sockets know it
 * themselves, as long as there are any. */

static __always_inline bool has_same_destination(const struct socket_verdict *kept,
						 const struct packet *p)
{
	return kept->dport == p->key.dport
	    && kept->daddr[0] == p->key.daddr[0] && kept->daddr[1] == p->key.daddr[1]
	    && kept->daddr[2] == p->key.daddr[2] && kept->daddr[3] == p->key.daddr[3];
}

/* The kernel counts a segment that it sends again before it does. */
static __always_inline bool is_first_syn(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && !tp->total_retrans;
}

/* A closed client's last words. They are ours if the proxy has a socket for them, or had one:
 * both ends may be gone while something was on its way. */
static __always_inline u32 recall_segment_without_socket(struct __sk_buff *skb, struct packet *p)
{
	u32 *device;

	if (p->syn_ack)
		return OUT_UNTRACKED;   /* a service of this host answers */
	device = replies.lookup(&p->key);
	if (device)
		return *device == GOES_OUT ? OUT_UNTRACKED : OUT_INTERCEPTED;
	if (was_intercepted_of_late(&p->key) || has_connection(skb, p))
		return OUT_INTERCEPTED;
	return OUT_UNTRACKED;
}

/* Whether the proxy may have no socket yet for a client that is past its SYN: then the
 * listener knows, for the handshake is in a SYN cookie. */
static __always_inline bool is_handshake_open(struct __sk_buff *skb, const struct packet *p,
					      struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	/* The SYN counts as one acknowledged byte. */
	if (!tp || tp->bytes_acked > 1 || tp->bytes_received)
		return false;
	/* Where the proxy has a socket already, it may have stopped listening since. */
	return !has_connection(skb, p);
}

static __always_inline u32 recall_segment(struct __sk_buff *skb, struct packet *p,
					  struct bpf_sock *sk, struct flow_info *f)
{
	struct socket_verdict *kept;

	if (!sk)
		return recall_segment_without_socket(skb, p);
	kept = flows.sk_storage_get(sk, 0, 0);
	/* A SYN with a verdict is sent again, unless the socket connects again by now. */
	if (p->syn && (!kept || is_first_syn(sk) || !has_same_destination(kept, p))) {
		f->flags = CBF_HANDSHAKE;
		return GO_ON;
	}
	if (!kept || kept->verdict != VERDICT_INTERCEPT)
		return OUT_UNTRACKED;
	if (p->syn) {
		kept->settled = 0;
		f->flags = CBF_HANDSHAKE;
		return OUT_INTERCEPTED;
	}
	if (kept->settled)
		return OUT_INTERCEPTED;
	if (is_handshake_open(skb, p, sk)) {
		f->flags = CBF_HANDSHAKE;
		return OUT_INTERCEPTED;
	}
	/* One that is still connecting may have met TIME_WAIT. */
	if (sk->state == BPF_TCP_ESTABLISHED)
		kept->settled = 1;
	return OUT_INTERCEPTED;
}

/* A segment in fragments; a SYN is never that long. */
static __always_inline u32 recall_split_segment(struct bpf_sock *sk)
{
	struct socket_verdict *kept = flows.sk_storage_get(sk, 0, 0);

	return kept && kept->verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* Its socket may know, if that is connected. */
static __always_inline u32 recall_unreadable(struct bpf_sock *sk)
{
	if (!sk || sk->protocol != IPPROTO_TCP || sk->state == BPF_TCP_SYN_SENT)
		return GO_ON;
	return recall_split_segment(sk);
}

static __always_inline u32 recall_outgoing(struct __sk_buff *skb, struct packet *p,
					   struct bpf_sock *sk, struct flow_info *f)
{
	bool tcp = p->key.proto == IPPROTO_TCP;
	u32 outcome;

	if (p->shape == UNREADABLE)
		return recall_unreadable(sk);
	if (p->shape == LATER_FRAGMENT)
		return recall_later_fragment(p);
	if (tcp && !p->shape)
		return recall_segment(skb, p, sk, f);
	if (tcp && sk)
		return recall_split_segment(sk);
	if (is_answer_to_visitor(p, sk)) {
		if (sk && f->owner)
			remember_service(sk);
		return OUT_UNTRACKED;
	}
	if (is_answer_to_client_behind(p))
		return OUT_UNTRACKED;
	outcome = p->shape ? recall_verdict(p, f) : recall_datagram(p, f);
	if (outcome == GO_ON && is_answer_to_group_question(p, sk))
		return OUT_UNTRACKED;
	return outcome;
}
