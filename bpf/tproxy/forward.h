/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The ingress of an interface that machines sit behind: what they send through
 * this host. Nothing is redirected: a mark makes the packet local, and
 * bpf_sk_assign names the socket. */

#define AF_INET   2
#define AF_INET6 10

/* OUT_INTERCEPTED: it goes through this host; else it is for it, or not to be passed on. */
static __always_inline u32 passes_through(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex};
	long found;

	if (p->v6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, p->key.saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, p->key.daddr, 16);
	} else {
		fib.family = AF_INET;
		fib.ipv4_src = p->key.saddr[3];
		fib.ipv4_dst = p->key.daddr[3];
	}
	fib.l4_protocol = p->key.proto;
	fib.sport = p->key.sport;
	fib.dport = p->key.dport;
	found = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (found == BPF_FIB_LKUP_RET_SUCCESS || found == BPF_FIB_LKUP_RET_NO_NEIGH
	    || found == BPF_FIB_LKUP_RET_UNSUPP_LWT || found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return OUT_INTERCEPTED;
	return found == BPF_FIB_LKUP_RET_FWD_DISABLED ? OUT_NOT_FORWARDING : OUT_LOCAL;
}

/* The proxy's sockets have the original destination as their own address, so a packet
 * of a flow of ours finds one, in whatever state it is. */
static __always_inline void segment_through(struct __sk_buff *skb, struct packet *p,
					    struct known *k)
{
	u32 state = socket_state(skb, p), *verdict;

	if (state && state != STATE_LISTEN) {
		k->outcome = state == STATE_TIME_WAIT && p->syn ? OUT_TIME_WAIT : OUT_INTERCEPTED;
		return;
	}
	if (p->syn) {
		k->fresh = 1;
		k->flags = CBF_HANDSHAKE;
		return;
	}
	verdict = tracked.lookup(&p->key);
	if (!verdict || *verdict != VERDICT_INTERCEPT) {
		k->outcome = OUT_UNTRACKED;
		return;
	}
	/* A flow of ours without a socket. Its handshake may be in a SYN cookie: the
	 * listener knows, and TCP resets what is neither. Nothing is let out. */
	k->outcome = p->rst ? OUT_NO_LISTENER : OUT_INTERCEPTED;
	k->flags = p->rst ? 0 : CBF_HANDSHAKE;
}

/* An ICMP error on its way to the original destination about a packet that the proxy
 * sent in its name: without it path MTU discovery would fail. */
static __always_inline u32 icmp_through(struct __sk_buff *skb, struct packet *p)
{
	struct packet quoted = {.l2 = p->l4 + 8};
	struct udphdr ports;
	u32 why, state;

	if (p->v6 ? p->icmp_type < 1 || p->icmp_type > 4 : p->icmp_type != 3)
		return OUT_OTHER_PROTOCOL;
	why = p->v6 ? parse_v6(skb, &quoted) : parse_v4(skb, &quoted);
	if (why != OUT_INTERCEPTED || quoted.key.proto != IPPROTO_TCP
	    || bpf_skb_load_bytes(skb, quoted.l4, &ports, sizeof(ports)))
		return OUT_OTHER_PROTOCOL;
	quoted.key.sport = ports.source;
	quoted.key.dport = ports.dest;
	turn(&p->key, &quoted.key);
	state = socket_state(skb, p);
	return state && state != STATE_LISTEN ? OUT_ICMP : OUT_OTHER_PROTOCOL;
}

static __always_inline u32 judge_forward(struct __sk_buff *skb, u32 l2, struct packet *p,
					 const struct config *c, struct known *k)
{
	u32 type = l2 == RAW_IP ? PKT_HOST : skb->pkt_type;
	u32 what = parse(skb, l2, p), way;

	if (what == OUT_OTHER_PROTOCOL && p->icmp_type && type == PKT_HOST)
		return icmp_through(skb, p);
	if (what != OUT_INTERCEPTED && what != OUT_FRAGMENT)
		return what;
	/* This host's own services are found as sockets too: ask for the way first. */
	way = passes_through(skb, p);
	if (way != OUT_INTERCEPTED)
		return way;
	/* Seen in passing (a bridge's port, a promiscuous device), or sent to all of the
	 * link: the IP layer sends neither on, so neither is ours to answer. */
	if (type != PKT_HOST)
		return type == PKT_OTHERHOST ? OUT_NOT_FORWARDING : OUT_BYPASS_ADDRESS;
	if (p->fragment)
		fragment_known(p, k);
	else if (p->key.proto == IPPROTO_TCP)
		segment_through(skb, p, k);
	else
		datagram_known(p, k);
	what = settle(skb, p, c, k, false);
	if (k->fresh && !p->fragment)
		track(p, k, what);
	if (what == OUT_INTERCEPTED && k->flags) {
		what = assign(skb, p, c);
		if (what == OUT_NEW && !k->fresh)
			what = OUT_INTERCEPTED;
	}
	return what;
}

static __always_inline int through(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0, what;
	struct config *c = config.lookup(&zero);
	struct packet p = {};
	struct known k = {};
	bool again;

	if (from_us(skb))
		return TC_ACT_OK;
	again = skb->cb[CB_MAGIC] == CB_AGAIN;
	if (again)
		skb->cb[CB_MAGIC] = 0;
	what = c ? judge_forward(skb, l2, &p, c, &k) : OUT_UNCONFIGURED;
	count(skb, skb->ifindex, what);
	if (what == OUT_NEW)
		count(skb, skb->ifindex, OUT_INTERCEPTED);
	if (what == OUT_LOCAL)
		welcome(skb, &p);   /* its answers may leave by an interface with output */
	if (what == OUT_REFUSED)
		return refuse(skb, &p, false);
	if (c && (what == OUT_INTERCEPTED || what == OUT_NEW || what == OUT_TIME_WAIT
		  || what == OUT_ICMP)) {
		if (what == OUT_TIME_WAIT
		    && (again || !reset_waiting(skb, &p, skb->ifindex, CB_AGAIN, 0)))
			clear_syn(skb, &p);
		set_mark(skb, c);
		return TC_ACT_OK;
	}
	return action(what);
}
