/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Returns OUT_INTERCEPTED when `p` is filled, else the reason why not.
 * bpf_skb_load_bytes reads headers wherever they lie; a packet need not be linear. */
static __always_inline u32 parse_packet(struct __sk_buff *skb, u32 l2, struct packet *p)
{
	struct tcphdr tcp;
	u32 ports, why;
	u8 icmp;

	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q)
	    || skb->protocol == bpf_htons(ETH_P_8021AD))
		return OUT_VLAN;
	p->l2 = l2;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		why = parse_ipv4(skb, p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		why = parse_ipv6(skb, p);
	else
		return OUT_OTHER_PROTOCOL;
	if (why != OUT_INTERCEPTED)
		return why;
	if (p->l4 > skb->len)
		return OUT_MALFORMED;
	/* Its next header may differ from the first fragment's (RFC 8200, 4.5). */
	if (p->v6 && p->fragment == LATER_FRAGMENT)
		return OUT_FRAGMENT;

	if (p->key.proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		if (p->fragment == NO_FRAGMENT && !bpf_skb_load_bytes(skb, p->l4, &icmp, 1))
			p->icmp_type = icmp;
		return OUT_OTHER_PROTOCOL;
	}
	if (p->key.proto != IPPROTO_TCP && p->key.proto != IPPROTO_UDP)
		return OUT_OTHER_PROTOCOL;
	if (p->fragment == LATER_FRAGMENT)
		return OUT_FRAGMENT;
	if (p->key.proto == IPPROTO_UDP || p->fragment == FIRST_FRAGMENT) {
		/* A UDP header, or the eight bytes that every first fragment has. */
		struct udphdr udp;

		if (bpf_skb_load_bytes(skb, p->l4, &udp, sizeof(udp)))
			return OUT_MALFORMED;
		p->key.sport = udp.source;
		p->key.dport = udp.dest;
		return p->fragment ? OUT_FRAGMENT : OUT_INTERCEPTED;
	}
	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)) || tcp.doff < 5)
		return OUT_MALFORMED;
	p->key.sport = tcp.source;
	p->key.dport = tcp.dest;
	p->seq = tcp.seq;
	p->ack_seq = tcp.ack_seq;
	p->ack = tcp.ack;
	p->syn = tcp.syn && !tcp.ack && !tcp.rst;
	p->syn_ack = tcp.syn && tcp.ack;
	p->ending = tcp.fin || tcp.rst;
	p->rst = tcp.rst;
	return OUT_INTERCEPTED;
}
