/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* bpf_skb_load_bytes reads headers wherever they lie: a packet need not be linear. */

static __always_inline u32 parse_icmp(struct __sk_buff *skb, struct packet *p)
{
	u8 type;

	if (p->shape == WHOLE && !bpf_skb_load_bytes(skb, p->l4, &type, 1))
		p->icmp_type = type;
	return OUT_OTHER_PROTOCOL;
}

/* A UDP header, or the first eight bytes of TCP's, which every first fragment has. */
static __always_inline u32 parse_ports(struct __sk_buff *skb, struct packet *p)
{
	struct udphdr udp;

	if (bpf_skb_load_bytes(skb, p->l4, &udp, sizeof(udp)))
		return OUT_UNREADABLE;
	p->key.sport = udp.source;
	p->key.dport = udp.dest;
	return GO_ON;
}

static __always_inline u32 parse_tcp(struct __sk_buff *skb, struct packet *p)
{
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)) || tcp.doff < 5)
		return OUT_UNREADABLE;
	p->key.sport = tcp.source;
	p->key.dport = tcp.dest;
	p->seq = tcp.seq;
	p->ack_seq = tcp.ack_seq;
	p->ack = tcp.ack;
	p->syn = tcp.syn && !tcp.ack && !tcp.rst;
	p->syn_ack = tcp.syn && tcp.ack;
	p->ending = tcp.fin || tcp.rst;
	p->rst = tcp.rst;
	return GO_ON;
}

/* The kernel has taken the outer tag off the frame when it comes in. Id 0 is no VLAN: such a
 * tag carries a priority alone (IEEE 802.1Q, 9.6), and for the kernel the frame has none. */
static __always_inline bool is_in_vlan(struct __sk_buff *skb)
{
	return (skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK)
	    || skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD);
}

static __always_inline u32 parse_headers(struct __sk_buff *skb, u32 l2, struct packet *p)
{
	u32 outcome;

	if (is_in_vlan(skb))
		return OUT_VLAN;
	p->l2 = l2;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		outcome = parse_ipv4(skb, p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		outcome = parse_ipv6(skb, p);
	else
		return OUT_OTHER_PROTOCOL;
	if (outcome != GO_ON)
		return outcome;
	if (p->l4 > skb->len)
		return OUT_UNREADABLE;
	/* Its next header may differ from the first fragment's (RFC 8200, 4.5). */
	if (p->v6 && p->shape == LATER_FRAGMENT)
		return GO_ON;

	if (p->key.proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return parse_icmp(skb, p);
	if (p->key.proto != IPPROTO_TCP && p->key.proto != IPPROTO_UDP)
		return OUT_OTHER_PROTOCOL;
	if (p->shape == LATER_FRAGMENT)
		return GO_ON;
	if (p->key.proto == IPPROTO_UDP || p->shape == FIRST_FRAGMENT)
		return parse_ports(skb, p);
	return parse_tcp(skb, p);
}

/* Returns GO_ON when `p` is filled, for a TCP segment, a UDP datagram, a fragment that may be
 * of either, or what may be either and cannot be read; else the reason why not. */
static __always_inline u32 parse_packet(struct __sk_buff *skb, u32 l2, struct packet *p)
{
	u32 outcome = parse_headers(skb, l2, p);

	if (outcome != OUT_UNREADABLE)
		return outcome;
	p->shape = UNREADABLE;
	return GO_ON;
}

/* The same, where much follows: the verifier walks that once, and not for each way through the
 * headers. */
static __always_inline u32 parse_and_forget(struct __sk_buff *skb, u32 l2, struct packet *p)
{
	u32 outcome = parse_packet(skb, l2, p), nothing;

	if (outcome != GO_ON)
		return outcome;
	nothing = unknown_nothing(skb);
	p->v6 += nothing;
	p->key.saddr[0] += nothing;
	p->key.saddr[1] += nothing;
	p->key.saddr[2] += nothing;
	p->key.daddr[0] += nothing;
	p->key.daddr[1] += nothing;
	p->key.daddr[2] += nothing;
	p->shape += nothing;
	p->syn += nothing;
	p->ack += nothing;
	p->syn_ack += nothing;
	p->ending += nothing;
	p->rst += nothing;
	p->icmp_type += nothing;
	p->key.proto += nothing;
	p->key.sport += nothing;
	p->key.dport += nothing;
	p->l4 += nothing;
	p->seq += nothing;
	p->ack_seq += nothing;
	p->fragment_id += nothing;
	return GO_ON;
}
