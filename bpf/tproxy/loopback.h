/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

#define MUCH 8   /* segments */

/* Give a packet that needs the listener to it; says what became of the packet. */
static __always_inline u32 hand_over(struct __sk_buff *skb, u32 flags)
{
	u32 zero = 0, state, what;
	struct config *c = config.lookup(&zero);
	struct packet p = {};

	if (!c || parse(skb, ETHERNET, &p) != OUT_INTERCEPTED)
		return OUT_NO_LISTENER;
	if (flags & CBF_DATAGRAM) {
		what = assign(skb, &p, c);
		return what == OUT_NEW && !(flags & CBF_NEW) ? OUT_INTERCEPTED : what;
	}
	/* The tuple has a socket: TCP finds it by itself. A listener that the tuple
	 * finds is some wildcard server of this host, not the proxy. */
	state = socket_state(skb, &p);
	if (state == STATE_TIME_WAIT && p.syn) {
		if (flags & CBF_AGAIN
		    || !reset_waiting(skb, &p, c->lo, CB_TO_PROXY, flags | CBF_AGAIN))
			clear_syn(skb, &p);
		return OUT_TIME_WAIT;
	}
	if (state && state != STATE_LISTEN)
		return OUT_INTERCEPTED;
	what = assign(skb, &p, c);
	return what == OUT_NEW && !p.syn ? OUT_INTERCEPTED : what;
}

/* Where intercepted packets of this host's own clients meet the proxy. */
static __always_inline int to_listener(struct __sk_buff *skb)
{
	u32 ifindex, flags, what;

	if (skb->cb[CB_MAGIC] != CB_TO_PROXY)
		return TC_ACT_UNSPEC;
	ifindex = skb->cb[CB_IFINDEX];
	flags = skb->cb[CB_FLAGS];
	skb->cb[CB_MAGIC] = 0;
	/* The frame carries the gateway's address, so eth_type_trans() made it
	 * PACKET_OTHERHOST, which the IP layer drops. */
	bpf_skb_change_type(skb, PKT_HOST);
	if (!flags)
		return TC_ACT_OK;
	what = hand_over(skb, flags);
	if (what == OUT_INTERCEPTED)
		return TC_ACT_OK;   /* counted on its way out */
	count(skb, ifindex, what);
	return action(what) == TC_ACT_SHOT ? TC_ACT_SHOT : TC_ACT_OK;
}

/* What the socket knows of its client from now on, whatever the tables forget. */
static __always_inline void learn(struct bpf_sock *sk, const struct packet *p, u32 verdict,
				  u32 ifindex)
{
	struct flow *flow;

	if (!sk || p->key.proto != IPPROTO_TCP || sk->src_port != bpf_ntohs(p->key.sport)
	    || sk->state == STATE_LISTEN)
		return;
	flow = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (flow && !flow->verdict) {
		flow->verdict = verdict;
		flow->more = ifindex;
	}
}

/* Whether it is worth memory to remember that there is nothing to do. */
static __always_inline bool has_sent_much(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && tp->segs_out >= MUCH;
}

/* `flow`: what the socket knows of its client, NULL where that is nothing yet. */
static __always_inline int reply(struct __sk_buff *skb, struct bpf_sock *sk, struct flow *flow)
{
	struct packet p = {};
	struct flow_key client = {};
	u32 *ifindex;

	if (parse(skb, ETHERNET, &p) != OUT_INTERCEPTED)
		return TC_ACT_UNSPEC;
	if (!p.v6 && (p.key.saddr[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000))
		return TC_ACT_UNSPEC;
	if (flow && flow->verdict == VERDICT_REPLY && p.key.proto == IPPROTO_TCP)
		return to_client(skb, flow->more);
	turn(&client, &p.key);
	if (p.key.proto == IPPROTO_TCP && is_recent(&client)) {
		if (sk && has_sent_much(sk))
			learn(sk, &p, VERDICT_PLAIN, 0);
		return TC_ACT_UNSPEC;
	}
	ifindex = replies.lookup(&client);
	if (!ifindex || !*ifindex)
		return TC_ACT_UNSPEC;
	learn(sk, &p, VERDICT_REPLY, *ifindex);
	return to_client(skb, *ifindex);
}

/* What the proxy sends back: to the client's device, if the client is bound to one. */
static __always_inline int from_proxy(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct flow *flow = NULL;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk)
		flow = flows.sk_storage_get(sk, 0, 0);
	if (flow && flow->verdict == VERDICT_PLAIN)
		return TC_ACT_UNSPEC;
	return reply(skb, sk, flow);
}
