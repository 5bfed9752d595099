/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The ingress of lo: where intercepted packets of this host's own clients meet the proxy. */

/* Give a packet that needs the listener to it. Returns what became of the packet. */
static __always_inline u32 deliver_to_listener(struct __sk_buff *skb, u32 ifindex,
						u32 flags)
{
	u32 zero = 0, state, outcome;
	struct config *c = config.lookup(&zero);
	struct packet p = {};

	if (!c || parse_packet(skb, ETHERNET, &p) != GO_ON || p.shape != WHOLE)
		return OUT_NO_LISTENER;
	if (flags & CBF_DATAGRAM) {
		outcome = assign_to_proxy(skb, &p, c);
		return outcome == OUT_NEW && !(flags & CBF_NEW) ? OUT_INTERCEPTED : outcome;
	}
	/* The tuple has a socket: TCP finds it by itself. A listener that the tuple
	 * finds is some wildcard server of this host, not the proxy. */
	state = lookup_state(skb, &p);
	if (state == BPF_TCP_TIME_WAIT && p.syn) {
		if (flags & CBF_AGAIN
		    || !reset_time_wait(skb, &p, CB_TO_PROXY, c->lo, ifindex, flags | CBF_AGAIN))
			clear_syn(skb, &p);
		return OUT_TIME_WAIT;
	}
	if (state && state != BPF_TCP_LISTEN)
		return OUT_INTERCEPTED;
	outcome = assign_to_proxy(skb, &p, c);
	return outcome == OUT_NEW && !p.syn ? OUT_INTERCEPTED : outcome;
}

static __always_inline int deliver_to_proxy(struct __sk_buff *skb)
{
	u32 ifindex, flags, outcome;

	if (!take_handover(skb, CB_TO_PROXY))
		return TC_ACT_UNSPEC;
	ifindex = skb->cb[CB_IFINDEX];
	flags = skb->cb[CB_FLAGS];
	/* The frame carries the gateway's address, so eth_type_trans() makes it
	 * PACKET_OTHERHOST, which the IP layer drops. */
	bpf_skb_change_type(skb, PKT_HOST);
	if (!flags)
		return TC_ACT_OK;
	outcome = deliver_to_listener(skb, ifindex, flags);
	if (outcome == OUT_INTERCEPTED)
		return TC_ACT_OK;   /* wan_egress has counted it */
	count_packet(skb, ifindex, outcome);
	return fate_of(skb, outcome) == DROPPED ? TC_ACT_SHOT : TC_ACT_OK;
}
