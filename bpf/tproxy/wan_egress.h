/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The egress of an interface: what this host's own sockets send out of it. */

/* A socket without a verdict goes out directly, as those do that are older than the programs. So
 * the verdict to do so is written only where it must outlive what it came of, or replace another.
 * Returns false where there is no memory for it. */
static __always_inline bool store_verdict(struct packet *p, struct bpf_sock *sk, u32 outcome,
					  u32 fate)
{
	u32 verdict = verdict_for(fate);
	bool must = verdict == VERDICT_INTERCEPT || outcome == OUT_DOWN_BYPASSED;
	struct socket_verdict *kept;

	kept = flows.sk_storage_get(sk, 0, must ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!kept)
		return !must;
	__builtin_memcpy(kept->daddr, p->key.daddr, 16);
	kept->dport = p->key.dport;
	kept->verdict = verdict;
	kept->settled = 0;
	return true;
}

static __always_inline void remember_client(struct __sk_buff *skb, struct packet *p,
					    struct bpf_sock *sk)
{
	if (sk->bound_dev_if)
		remember_bound_client(skb, p);
	else if (p->key.proto == IPPROTO_TCP && (p->syn || p->ending))
		remember_unbound_client(p);
}

static __always_inline u32 judge_outgoing(struct __sk_buff *skb, u32 l2, struct packet *p,
					  const struct config *c, struct flow_info *f, u32 *fate)
{
	struct bpf_sock *sk;
	u32 outcome, recalled;

	*fate = LEFT_ALONE;

	if (skb->ingress_ifindex)
		return OUT_FORWARDED;
	outcome = parse_and_forget(skb, l2, p);
	if (outcome == OUT_OTHER_PROTOCOL && p->icmp_type) {
		outcome = judge_icmp_error(skb, p);
		*fate = fate_of(skb, outcome);
		return outcome;
	}
	if (outcome != GO_ON)
		return outcome;
	if (is_from_packet_socket(skb))
		return OUT_PACKET_SOCKET;
	sk = sending_socket(skb, p);
	if (sk && p->key.proto != IPPROTO_TCP && sk->protocol == IPPROTO_UDP)
		f->owner = read_owner(skb);

	f->epoch = c->epoch;
	recalled = recall_outgoing(skb, p, sk, f);
	outcome = decide(skb, p, c, f, recalled, sk, true);
	*fate = fate_of(skb, outcome);
	if (p->shape != WHOLE)
		return outcome;

	if (recalled == GO_ON && p->key.proto != IPPROTO_TCP) {
		f->doubtful = sk && f->owner && serves_visitors(sk);
		remember_verdict(p, f, *fate);
	} else if (recalled == GO_ON && sk && !store_verdict(p, sk, outcome, *fate)) {
		*fate = DROPPED;
		outcome = OUT_NO_MEMORY;
	}
	if (*fate == TO_PROXY) {
		if (sk)
			remember_client(skb, p, sk);
		return outcome;
	}
	/* Somebody else has the tuple now. A SYN-ACK is the answer of a service. */
	if (recalled == GO_ON || p->syn_ack) {
		forget_client(p);
		if (p->key.proto == IPPROTO_TCP && *fate != ANSWERED)
			remember_outgoing(skb, p);
	}
	return outcome;
}

static __always_inline int judge_and_redirect(struct __sk_buff *skb, u32 l2, const struct config *c)
{
	struct packet p = {};
	struct flow_info f = {};
	u32 fate, mtu = 0, outcome = judge_outgoing(skb, l2, &p, c, &f, &fate);

	if (fate == TO_PROXY && is_too_long(skb, l2)) {
		outcome = OUT_TOO_LONG;
		fate = ANSWERED;
		mtu = LONGEST;
	}
	count_packet(skb, skb->ifindex, outcome);
	if (f.other_listens)
		count_packet(skb, skb->ifindex, OUT_NOT_TRANSPARENT);
	if (fate == TO_PROXY) {
		put_back_source(skb, &p);
		return redirect_to_lo(skb, l2, c, f.flags);
	}
	if (fate == ANSWERED)
		return answer_local(skb, &p, mtu);
	return tc_action(fate);
}

static __always_inline int intercept_outgoing(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0, settled;
	struct config *c = config.lookup(&zero);

	if (!c) {
		count_packet(skb, skb->ifindex, OUT_UNCONFIGURED);
		return tc_action(LEFT_ALONE);
	}
	settled = settled_outcome(skb, l2);
	if (settled == GO_ON || (settled == OUT_INTERCEPTED && is_too_long(skb, l2)))
		return judge_and_redirect(skb, l2, c);
	count_packet(skb, skb->ifindex, settled);
	return settled == OUT_INTERCEPTED ? redirect_to_lo(skb, l2, c, 0) : tc_action(LEFT_ALONE);
}
