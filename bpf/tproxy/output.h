/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The egress of an interface: what this host's own sockets send out of it. */

static __always_inline bool same_destination(const struct flow *f, const struct packet *p)
{
	return f->dport == p->key.dport
	    && f->daddr[0] == p->key.daddr[0] && f->daddr[1] == p->key.daddr[1]
	    && f->daddr[2] == p->key.daddr[2] && f->daddr[3] == p->key.daddr[3];
}

static __always_inline void forget(struct packet *p)
{
	replies.delete(&p->key);
	if (p->key.proto == IPPROTO_TCP)
		strike_out(&p->key);
}

/* The device that replies must arrive on. Where it has changed, the proxy's socket may
 * still know the old one: clients can be bound while they are connected. */
static __always_inline void remember(struct __sk_buff *skb, struct packet *p)
{
	u32 *old = p->syn ? NULL : replies.lookup(&p->key), ifindex = skb->ifindex;
	struct bpf_sock *sk;

	if (old && *old == ifindex)
		return;
	replies.update(&p->key, &ifindex);
	if (p->key.proto != IPPROTO_TCP)
		return;
	strike_out(&p->key);
	if (p->syn)
		return;
	sk = socket_get(skb, &p->key, 0, p->v6);
	if (!sk)
		return;
	flows.sk_storage_delete(sk);
	bpf_sk_release(sk);
}

/* A client that is bound to no device, at the beginning and at the end. */
static __always_inline void remember_unbound(struct packet *p)
{
	note(&p->key);
	if (p->syn && replies.lookup(&p->key))
		replies.delete(&p->key);   /* one that was bound had the tuple before */
}

static __always_inline void segment_known(struct __sk_buff *skb, struct packet *p,
					  struct bpf_sock *sk, struct known *k)
{
	struct bpf_tcp_sock *tp;
	struct flow *flow;
	u32 state;

	if (!sk) {
		/* A closed client's last words: ours if the proxy has a socket for them,
		 * or had one; both ends may be gone while something was on its way. */
		state = socket_state(skb, p);
		if (p->syn_ack)
			forget(p);   /* an inbound connection has the tuple now */
		k->outcome = (state && state != STATE_LISTEN) || replies.lookup(&p->key)
			     || is_recent(&p->key) ? OUT_INTERCEPTED : OUT_UNTRACKED;
		return;
	}
	flow = flows.sk_storage_get(sk, 0, 0);
	/* A SYN with a verdict is sent again, unless the socket now goes elsewhere. */
	if (p->syn && (!flow || !same_destination(flow, p))) {
		k->fresh = 1;
		k->flags = CBF_HANDSHAKE;
		return;
	}
	if (!flow || flow->verdict != VERDICT_INTERCEPT) {
		k->outcome = OUT_UNTRACKED;
		return;
	}
	k->outcome = OUT_INTERCEPTED;
	if (p->syn) {
		k->flags = CBF_HANDSHAKE;
		return;
	}
	if (flow->more == SETTLED)
		return;
	tp = bpf_tcp_sock(sk);
	/* The SYN counts as one acknowledged byte. Where the proxy has a socket already,
	 * it may have stopped listening since. */
	if (tp && tp->bytes_acked <= 1 && !tp->bytes_received) {
		state = socket_state(skb, p);
		if (!state || state == STATE_LISTEN) {
			k->flags = CBF_HANDSHAKE;
			return;
		}
	}
	/* One that is still connecting may have met TIME_WAIT. */
	if (sk->state == STATE_ESTABLISHED)
		flow->more = SETTLED;
}

/* A segment in fragments; a SYN is never that long. */
static __always_inline void split_segment_known(struct bpf_sock *sk, struct known *k)
{
	struct flow *flow = flows.sk_storage_get(sk, 0, 0);

	k->outcome = flow && flow->verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

static __always_inline u32 keep(struct packet *p, struct bpf_sock *sk, u32 outcome)
{
	struct flow *flow;

	flow = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		return OUT_NO_MEMORY;
	__builtin_memcpy(flow->daddr, p->key.daddr, 16);
	flow->dport = p->key.dport;
	flow->verdict = verdict_of(outcome);
	flow->more = 0;
	return outcome;
}

/* The proxy's datagrams to a client behind this very interface. */
static __always_inline bool answers(const struct packet *p)
{
	struct flow_key client = {};

	turn(&client, &p->key);
	return tracked.lookup(&client) != NULL;
}

static __always_inline u32 judge_output(struct __sk_buff *skb, u32 l2, struct packet *p,
					const struct config *c, struct known *k)
{
	struct bpf_sock *sk = skb->sk;
	u32 what, tcp;

	if (skb->ingress_ifindex)
		return OUT_FORWARDED;
	what = parse(skb, l2, p);
	if (what != OUT_INTERCEPTED && what != OUT_FRAGMENT)
		return what;
	tcp = p->key.proto == IPPROTO_TCP;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk && !tcp && sk->protocol == IPPROTO_UDP)
		k->owner = owner_of(skb);
	/* Resets and TIME_WAIT acknowledgements leave through a control socket of
	 * the kernel (before 6.13), which is full but has no port of its own. */
	if (sk && tcp && (sk->protocol != IPPROTO_TCP || sk->src_port != bpf_ntohs(p->key.sport)))
		sk = NULL;

	if (tcp && !p->fragment)
		segment_known(skb, p, sk, k);
	else if (tcp && sk && p->fragment == FIRST_FRAGMENT)
		split_segment_known(sk, k);
	else if (p->fragment != LATER_FRAGMENT && (inbound.lookup(&p->key) || answers(p)))
		return p->fragment ? OUT_FRAGMENT : OUT_UNTRACKED;
	else if (p->fragment)
		fragment_known(p, k);
	else
		datagram_known(p, k);

	what = settle(skb, p, c, k, true);
	if (k->fresh && !p->fragment) {
		if (!tcp)
			track(p, k, what);
		else if (sk)
			what = keep(p, sk, what);
	}
	if (what == OUT_INTERCEPTED && sk) {
		if (sk->bound_dev_if)
			remember(skb, p);
		else if (tcp && (p->syn || p->ending))
			remember_unbound(p);
	} else if (what != OUT_INTERCEPTED && k->fresh && !p->fragment) {
		forget(p);
	}
	return what;
}

static __always_inline int begin_or_go_on(struct __sk_buff *skb, u32 l2, const struct config *c)
{
	struct packet p = {};
	struct known k = {};
	u32 what = judge_output(skb, l2, &p, c, &k);

	count(skb, skb->ifindex, what);
	if (what == OUT_INTERCEPTED)
		return to_proxy(skb, l2, c, k.flags);
	if (what == OUT_REFUSED)
		return refuse(skb, &p, true);
	return action(what);
}

static __always_inline int output(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0;
	struct config *c = config.lookup(&zero);

	if (!c) {
		count(skb, skb->ifindex, OUT_UNCONFIGURED);
		return action(OUT_UNCONFIGURED);
	}
	if (in_full_swing(skb, l2)) {
		count(skb, skb->ifindex, OUT_INTERCEPTED);
		return to_proxy(skb, l2, c, 0);
	}
	return begin_or_go_on(skb, l2, c);
}

/* Somebody from outside talks UDP to this host: the answers are no flow of ours. */
static __always_inline void welcome(struct __sk_buff *skb, struct packet *p)
{
	struct flow_key ours = {};
	struct bpf_sock *sk;
	u32 one = 1;

	if (p->key.proto != IPPROTO_UDP || p->fragment == LATER_FRAGMENT)
		return;
	turn(&ours, &p->key);
	/* Not while the flow has a verdict: a forged answer would set it free. */
	if (tracked.lookup(&ours) || inbound.lookup(&ours))
		return;
	sk = socket_get(skb, &p->key, 1, p->v6);
	if (!sk)
		return;
	bpf_sk_release(sk);
	inbound.update(&ours, &one);
}

/* The ingress of the same interface: the answers to device-bound clients, and who
 * from outside talks UDP to this host. */
static __always_inline int input(struct __sk_buff *skb, u32 l2)
{
	struct packet p = {};
	u32 what;

	if (from_us(skb))
		return TC_ACT_OK;
	what = parse(skb, l2, &p);
	if (what == OUT_INTERCEPTED || what == OUT_FRAGMENT)
		welcome(skb, &p);
	return TC_ACT_UNSPEC;
}
