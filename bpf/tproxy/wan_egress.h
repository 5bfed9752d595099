/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The egress of an interface: what this host's own sockets send out of it. */

static __always_inline bool has_same_destination(const struct socket_verdict *kept,
						 const struct packet *p)
{
	return kept->dport == p->key.dport
	    && kept->daddr[0] == p->key.daddr[0] && kept->daddr[1] == p->key.daddr[1]
	    && kept->daddr[2] == p->key.daddr[2] && kept->daddr[3] == p->key.daddr[3];
}

static __always_inline void recall_segment(struct __sk_buff *skb, struct packet *p,
					   struct bpf_sock *sk, struct recalled *r)
{
	struct bpf_tcp_sock *tp;
	struct socket_verdict *kept;
	u32 state;

	if (!sk) {
		/* A closed client's last words: ours if the proxy has a socket for them,
		 * or had one; both ends may be gone while something was on its way. */
		state = lookup_state(skb, p);
		if (p->syn_ack)
			forget_client(p);   /* an inbound connection has the tuple now */
		r->outcome = (state && state != BPF_TCP_LISTEN) || replies.lookup(&p->key)
			     || was_intercepted_of_late(&p->key) ? OUT_INTERCEPTED : OUT_UNTRACKED;
		return;
	}
	kept = flows.sk_storage_get(sk, 0, 0);
	/* A SYN with a verdict is sent again, unless the socket now goes elsewhere. */
	if (p->syn && (!kept || !has_same_destination(kept, p))) {
		r->fresh = 1;
		r->flags = CBF_HANDSHAKE;
		return;
	}
	if (!kept || kept->verdict != VERDICT_INTERCEPT) {
		r->outcome = OUT_UNTRACKED;
		return;
	}
	r->outcome = OUT_INTERCEPTED;
	if (p->syn) {
		r->flags = CBF_HANDSHAKE;
		return;
	}
	if (kept->settled == 1)
		return;
	tp = bpf_tcp_sock(sk);
	/* The SYN counts as one acknowledged byte. Where the proxy has a socket already,
	 * it may have stopped listening since. */
	if (tp && tp->bytes_acked <= 1 && !tp->bytes_received) {
		state = lookup_state(skb, p);
		if (!state || state == BPF_TCP_LISTEN) {
			r->flags = CBF_HANDSHAKE;
			return;
		}
	}
	/* One that is still connecting may have met TIME_WAIT. */
	if (sk->state == BPF_TCP_ESTABLISHED)
		kept->settled = 1;
}

/* A segment in fragments; a SYN is never that long. */
static __always_inline void recall_split_segment(struct bpf_sock *sk, struct recalled *r)
{
	struct socket_verdict *kept = flows.sk_storage_get(sk, 0, 0);

	r->outcome = kept && kept->verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

static __always_inline u32 store_verdict(struct packet *p, struct bpf_sock *sk, u32 outcome)
{
	struct socket_verdict *kept;

	kept = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return OUT_NO_MEMORY;
	__builtin_memcpy(kept->daddr, p->key.daddr, 16);
	kept->dport = p->key.dport;
	kept->verdict = verdict_for(outcome);
	kept->settled = 0;
	return outcome;
}

static __always_inline u32 judge_outgoing(struct __sk_buff *skb, u32 l2, struct packet *p,
					  const struct config *c, struct recalled *r)
{
	struct bpf_sock *sk = skb->sk;
	u32 what, tcp;

	if (skb->ingress_ifindex)
		return OUT_FORWARDED;
	what = parse_packet(skb, l2, p);
	if (what != OUT_INTERCEPTED && what != OUT_FRAGMENT)
		return what;
	tcp = p->key.proto == IPPROTO_TCP;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk && !tcp && sk->protocol == IPPROTO_UDP)
		r->owner = read_owner(skb);
	/* Resets and TIME_WAIT acknowledgements leave through a control socket of
	 * the kernel (before 6.13), which is full but has no port of its own. */
	if (sk && tcp && (sk->protocol != IPPROTO_TCP || sk->src_port != bpf_ntohs(p->key.sport)))
		sk = NULL;

	if (tcp && !p->fragment)
		recall_segment(skb, p, sk, r);
	else if (tcp && sk && p->fragment == FIRST_FRAGMENT)
		recall_split_segment(sk, r);
	else if (p->fragment != LATER_FRAGMENT
		 && (is_answer_to_visitor(p) || is_answer_to_client_behind(p)))
		return p->fragment ? OUT_FRAGMENT : OUT_UNTRACKED;
	else if (p->fragment)
		recall_fragment(p, r);
	else
		recall_datagram(p, r);

	what = decide(skb, p, c, r, true);
	if (r->fresh && !p->fragment) {
		if (!tcp)
			remember_verdict(p, r, what);
		else if (sk)
			what = store_verdict(p, sk, what);
	}
	if (what == OUT_INTERCEPTED && sk) {
		if (sk->bound_dev_if)
			remember_bound_client(skb, p);
		else if (tcp && (p->syn || p->ending))
			remember_unbound_client(p);
	} else if (what != OUT_INTERCEPTED && r->fresh && !p->fragment) {
		forget_client(p);
	}
	return what;
}

static __always_inline int judge_and_redirect(struct __sk_buff *skb, u32 l2, const struct config *c)
{
	struct packet p = {};
	struct recalled r = {};
	u32 what = judge_outgoing(skb, l2, &p, c, &r);

	count_packet(skb, skb->ifindex, what);
	if (what == OUT_INTERCEPTED)
		return redirect_to_lo(skb, l2, c, r.flags);
	if (what == OUT_REFUSED)
		return answer_refused(skb, &p, true);
	return tc_action(what);
}

static __always_inline int intercept_outgoing(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0;
	struct config *c = config.lookup(&zero);

	if (!c) {
		count_packet(skb, skb->ifindex, OUT_UNCONFIGURED);
		return tc_action(OUT_UNCONFIGURED);
	}
	if (is_settled_segment(skb, l2)) {
		count_packet(skb, skb->ifindex, OUT_INTERCEPTED);
		return redirect_to_lo(skb, l2, c, 0);
	}
	return judge_and_redirect(skb, l2, c);
}
