/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The frag_off field of IPv4, in host order. */
#define IP_OFFSET_MASK 0x1fff
#define IP_MORE_FRAGS  0x2000

/* Traffic class and flow label of IPv6, in host order. */
#define IP6_FLOWINFO_MASK 0x0fffffff

/* In the place of a protocol: the chain of headers does not get to one. */
#define UNKNOWN_PROTOCOL 0

/* How many extension headers of IPv6 are walked; what has more cannot be read. */
#define MAX_EXTENSIONS 6

/* Both return GO_ON when they have filled what `p` has of IP; OUT_UNREADABLE when it has the
 * addresses and no more can be read; else the reason why nothing is. */

static __always_inline u32 parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, p->l2, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return OUT_MALFORMED;
	map_ipv4(p->key.saddr, ip.saddr);
	map_ipv4(p->key.daddr, ip.daddr);
	p->key.proto = ip.protocol;
	p->l4 = p->l2 + ip.ihl * 4;
	if (ip.frag_off & bpf_htons(IP_OFFSET_MASK))
		p->shape = LATER_FRAGMENT;
	else if (ip.frag_off & bpf_htons(IP_MORE_FRAGS))
		p->shape = FIRST_FRAGMENT;
	p->fragment_id = ip.id;
	p->flowinfo = ip.tos;
	return GO_ON;
}

static __always_inline bool is_extension(u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING
	    || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

static __always_inline u32 parse_ipv6(struct __sk_buff *skb, struct packet *p)
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
	p->flowinfo = *(u32 *)&ip & bpf_htonl(IP6_FLOWINFO_MASK);
	next = ip.nexthdr;
#pragma unroll
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (!is_extension(next))
			break;
		if (bpf_skb_load_bytes(skb, at, &ext, sizeof(ext)))
			return OUT_UNREADABLE;
		if (next == IPPROTO_FRAGMENT) {
			/* Of several fragment headers the outermost says what this packet is. */
			if (p->shape == WHOLE) {
				p->shape = ext.offset & bpf_htons(0xfff8) ? LATER_FRAGMENT
					    : ext.offset & bpf_htons(1) ? FIRST_FRAGMENT
					    : WHOLE;
				p->fragment_id = ext.id;
			}
			at += 8;
		} else {
			at += (ext.length + 1) * 8;
		}
		next = ext.next;
		if (p->shape == LATER_FRAGMENT)
			break;
	}
	if (p->shape != LATER_FRAGMENT && is_extension(next))
		return OUT_UNREADABLE;
	p->key.proto = next;
	p->l4 = at;
	return GO_ON;
}
