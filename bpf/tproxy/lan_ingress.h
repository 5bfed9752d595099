/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The ingress of an interface that machines sit behind: what they send through this host.
 * Nothing is redirected: the mark makes a packet local, and bpf_sk_assign names the socket. */

/* The proxy's sockets have the original destination as their own address, so a packet of a
 * connection of ours finds one, in whatever state it is. */
static __always_inline void recall_forwarded_segment(struct __sk_buff *skb, struct packet *p,
						     struct recalled *r)
{
	u32 state = lookup_state(skb, p), *verdict;

	if (state && state != BPF_TCP_LISTEN) {
		r->outcome = state == BPF_TCP_TIME_WAIT && p->syn ? OUT_TIME_WAIT : OUT_INTERCEPTED;
		return;
	}
	if (p->syn) {
		r->fresh = 1;
		r->flags = CBF_HANDSHAKE;
		return;
	}
	verdict = tracked.lookup(&p->key);
	if (!verdict || *verdict != VERDICT_INTERCEPT) {
		r->outcome = OUT_UNTRACKED;
		return;
	}
	/* A connection of ours without a socket. Its handshake may be in a SYN cookie: the
	 * listener knows, and TCP resets what is neither. Nothing is let out. */
	r->outcome = p->rst ? OUT_NO_LISTENER : OUT_INTERCEPTED;
	r->flags = p->rst ? 0 : CBF_HANDSHAKE;
}

static __always_inline u32 judge_forwarded(struct __sk_buff *skb, u32 l2, struct packet *p,
					   const struct config *c, struct recalled *r)
{
	u32 type = l2 == RAW_IP ? PKT_HOST : skb->pkt_type;
	u32 what = parse_packet(skb, l2, p), way;

	if (what == OUT_OTHER_PROTOCOL && p->icmp_type && type == PKT_HOST)
		return judge_icmp_error(skb, p);
	if (what != OUT_INTERCEPTED && what != OUT_FRAGMENT)
		return what;
	/* This host's own services are found as sockets too: ask for the route first. */
	way = check_route(skb, p);
	if (way != OUT_INTERCEPTED)
		return way;
	/* Seen in passing (a bridge's port, a promiscuous device), or sent to all of the
	 * link: the IP layer sends neither on, so neither is ours to answer. */
	if (type != PKT_HOST)
		return type == PKT_OTHERHOST ? OUT_NOT_FORWARDING : OUT_BYPASS_ADDRESS;
	if (p->fragment)
		recall_fragment(p, r);
	else if (p->key.proto == IPPROTO_TCP)
		recall_forwarded_segment(skb, p, r);
	else
		recall_datagram(p, r);
	what = decide(skb, p, c, r, false);
	if (r->fresh && !p->fragment)
		remember_verdict(p, r, what);
	if (what == OUT_INTERCEPTED && r->flags) {
		what = assign_to_proxy(skb, p, c);
		if (what == OUT_NEW && !r->fresh)
			what = OUT_INTERCEPTED;
	}
	return what;
}

static __always_inline int intercept_forwarded(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0, what;
	struct config *c = config.lookup(&zero);
	struct packet p = {};
	struct recalled r = {};
	bool again;

	if (take_own_answer(skb))
		return TC_ACT_OK;
	again = skb->cb[CB_MAGIC] == CB_AGAIN;
	if (again)
		skb->cb[CB_MAGIC] = 0;
	what = c ? judge_forwarded(skb, l2, &p, c, &r) : OUT_UNCONFIGURED;
	count_packet(skb, skb->ifindex, what);
	if (what == OUT_NEW)
		count_packet(skb, skb->ifindex, OUT_INTERCEPTED);
	if (what == OUT_LOCAL)
		remember_visitor(skb, &p);   /* the answer may leave by an interface with output */
	if (what == OUT_REFUSED)
		return answer_refused(skb, &p, false);
	if (c && (what == OUT_INTERCEPTED || what == OUT_NEW || what == OUT_TIME_WAIT
		  || what == OUT_ICMP)) {
		if (what == OUT_TIME_WAIT
		    && (again || !reset_time_wait(skb, &p, skb->ifindex, CB_AGAIN, 0)))
			clear_syn(skb, &p);
		set_intercept_mark(skb, c);
		return TC_ACT_OK;
	}
	return tc_action(what);
}
