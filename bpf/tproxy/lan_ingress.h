/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The ingress of an interface that machines sit behind: what they send through this host.
 * Nothing is redirected: the mark makes a packet local, and bpf_sk_assign names the socket. */

/* The proxy's sockets have the original destination as their own address, so a packet of a
 * connection of ours finds one, in whatever state it is. */
static __always_inline u32 recall_forwarded_segment(struct __sk_buff *skb, struct packet *p,
						    struct flow_info *f)
{
	u32 state = lookup_state(skb, p);
	struct flow_verdict *kept;

	if (state && state != BPF_TCP_LISTEN)
		return state == BPF_TCP_TIME_WAIT && p->syn ? OUT_TIME_WAIT : OUT_INTERCEPTED;
	if (p->syn) {
		f->flags = CBF_HANDSHAKE;
		return GO_ON;
	}
	kept = tracked.lookup(&p->key);
	if (!kept || kept->entry != VERDICT_INTERCEPT)
		return OUT_UNTRACKED;
	/* A connection of ours without a socket. Nothing of it is let out: its handshake may
	 * be in a SYN cookie, of which the listener knows, and TCP resets what is not. */
	if (p->rst)
		return OUT_NO_LISTENER;
	f->flags = CBF_HANDSHAKE;
	return OUT_INTERCEPTED;
}

static __always_inline u32 recall_forwarded(struct __sk_buff *skb, struct packet *p,
					    struct flow_info *f)
{
	if (p->shape == UNREADABLE)
		return GO_ON;
	if (p->shape == LATER_FRAGMENT)
		return recall_later_fragment(p);
	if (p->shape)
		return recall_verdict(p, f);
	if (p->key.proto == IPPROTO_TCP)
		return recall_forwarded_segment(skb, p, f);
	return recall_datagram(p, f);
}

/* A SYN that meets TIME_WAIT: `again` if it did so once before. */
static __always_inline void make_room(struct __sk_buff *skb, const struct packet *p, bool again)
{
	if (again || !reset_time_wait(skb, p, CB_AGAIN, skb->ifindex, 0, 0))
		clear_syn(skb, p);
}

static __always_inline u32 judge_forwarded(struct __sk_buff *skb, u32 l2, struct packet *p,
					   const struct config *c, struct flow_info *f, bool again)
{
	u32 type = l2 == RAW_IP ? PKT_HOST : skb->pkt_type;
	u32 outcome = parse_and_forget(skb, l2, p), recalled, fate;

	if (outcome == OUT_OTHER_PROTOCOL && p->icmp_type && type == PKT_HOST)
		return judge_icmp_error(skb, p);
	if (outcome != GO_ON)
		return outcome;
	/* This host's own services are found as sockets too: ask for the route first. */
	outcome = check_route(skb, &p->key, p->flowinfo, p->v6, c);
	/* Seen in passing (a bridge's port, a promiscuous device), or sent to all of the
	 * link: the IP layer sends neither on, so neither is ours to answer. */
	if (outcome == GO_ON && type != PKT_HOST)
		outcome = type == PKT_OTHERHOST ? OUT_NOT_FORWARDING : OUT_BYPASS_ADDRESS;
	if (outcome != GO_ON)
		return p->shape == UNREADABLE ? OUT_MALFORMED : outcome;

	f->epoch = c->epoch;
	recalled = recall_forwarded(skb, p, f);
	if (recalled == OUT_TIME_WAIT) {
		make_room(skb, p, again);
		return OUT_TIME_WAIT;
	}
	outcome = decide(skb, p, c, f, recalled, NULL, false);
	if (p->shape != WHOLE)
		return outcome;
	fate = fate_of(skb, outcome);
	if (recalled == GO_ON)
		remember_verdict(p, f, fate);
	if (fate != TO_PROXY || !f->flags)
		return outcome;
	outcome = assign_to_proxy(skb, p, c);
	if (outcome != OUT_NEW)
		return outcome;
	if (recalled != GO_ON)
		return OUT_INTERCEPTED;
	count_packet(skb, skb->ifindex, OUT_INTERCEPTED);
	return OUT_NEW;
}

static __always_inline int intercept_forwarded(struct __sk_buff *skb, u32 l2)
{
	u32 zero = 0, outcome, fate;
	struct config *c = config.lookup(&zero);
	struct packet p = {};
	struct flow_info f = {};
	bool again;

	if (take_own_answer(skb))
		return TC_ACT_OK;
	again = take_handover(skb, CB_AGAIN);
	outcome = c ? judge_forwarded(skb, l2, &p, c, &f, again) : OUT_UNCONFIGURED;
	fate = fate_of(skb, outcome);
	count_packet(skb, skb->ifindex, outcome);
	if (f.other_listens)
		count_packet(skb, skb->ifindex, OUT_NOT_TRANSPARENT);
	if (fate == ANSWERED)
		return answer_behind(skb, &p);
	if (fate == LEFT_TO_THIS_HOST)
		remember_visitor(skb, &p);   /* the answer may leave by an interface with output */
	if (fate != TO_PROXY || !c)
		return tc_action(fate);
	set_intercept_mark(skb, c);
	return TC_ACT_OK;
}
