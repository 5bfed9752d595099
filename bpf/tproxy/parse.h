/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

enum fragment { NO_FRAGMENT = 0, FIRST_FRAGMENT, LATER_FRAGMENT };

/* Offsets in the IPv4 header. */
#define IP_LEN   2
#define IP_CHECK 10
#define IP_ENDS  12
/* Offsets in the TCP header; the flags are the low byte of their 16 bits. */
#define TCP_FLAGS 12
#define TCP_CHECK 16
#define TCP_SYN   0x0002
#define TCP_RST   0x0004

struct packet {
	struct flow_key key;   /* ports are 0 in a later fragment */
	u32 l2;                /* length of the link-layer header */
	u32 l4;                /* offset of the TCP, UDP or ICMP header */
	u32 seq;               /* TCP, network order */
	u32 ack_seq;
	u32 fragment_id;
	u8 v6;
	u8 fragment;
	u8 syn;                /* SYN without ACK and RST: opens a connection */
	u8 ack;
	u8 syn_ack;            /* answers one */
	u8 ending;             /* FIN or RST */
	u8 rst;
	u8 icmp_type;
};

static __always_inline void map_v4(u32 *to, u32 addr)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = addr;
}

/* How many extension headers of IPv6 are walked; more is malformed. */
#define MAX_EXTENSIONS 6

static __always_inline bool is_extension(u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING
	    || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

static __always_inline u32 parse_v6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;
	struct { u8 next, length; u16 offset; u32 id; } ext;
	u32 at = p->l2 + sizeof(ip), i;
	u8 next;

	if (bpf_skb_load_bytes(skb, p->l2, &ip, sizeof(ip)) || ip.version != 6)
		return OUT_MALFORMED;
	__builtin_memcpy(p->key.saddr, &ip.saddr, 16);
	__builtin_memcpy(p->key.daddr, &ip.daddr, 16);
	p->v6 = 1;
	next = ip.nexthdr;
#pragma unroll
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (!is_extension(next))
			break;
		if (bpf_skb_load_bytes(skb, at, &ext, sizeof(ext)))
			return OUT_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			/* The outermost says what this packet is. */
			if (p->fragment == NO_FRAGMENT) {
				p->fragment = ext.offset & bpf_htons(0xfff8) ? LATER_FRAGMENT
					    : ext.offset & bpf_htons(1) ? FIRST_FRAGMENT
					    : NO_FRAGMENT;
				p->fragment_id = ext.id;
			}
			at += 8;
		} else {
			at += (ext.length + 1) * 8;
		}
		next = ext.next;
		if (p->fragment == LATER_FRAGMENT)
			break;
	}
	if (p->fragment != LATER_FRAGMENT && is_extension(next))
		return OUT_MALFORMED;
	p->key.proto = next;
	p->l4 = at;
	return OUT_INTERCEPTED;
}

static __always_inline u32 parse_v4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, p->l2, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return OUT_MALFORMED;
	map_v4(p->key.saddr, ip.saddr);
	map_v4(p->key.daddr, ip.daddr);
	p->key.proto = ip.protocol;
	p->l4 = p->l2 + ip.ihl * 4;
	if (ip.frag_off & bpf_htons(IP_OFFSET_MASK))
		p->fragment = LATER_FRAGMENT;
	else if (ip.frag_off & bpf_htons(IP_MORE_FRAGS))
		p->fragment = FIRST_FRAGMENT;
	p->fragment_id = ip.id;
	return OUT_INTERCEPTED;
}

/* Returns OUT_INTERCEPTED when `p` is filled, else the reason why not.
 * bpf_skb_load_bytes reads headers wherever they lie; a packet need not be linear. */
static __always_inline u32 parse(struct __sk_buff *skb, u32 l2, struct packet *p)
{
	struct tcphdr tcp;
	u32 ports, why;
	u8 icmp;

	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q)
	    || skb->protocol == bpf_htons(ETH_P_8021AD))
		return OUT_VLAN;
	p->l2 = l2;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		why = parse_v4(skb, p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		why = parse_v6(skb, p);
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
