/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* An ICMP error about a packet, in the place of it. */

/* Port unreachable (RFC 792; RFC 4443, 3.1), or too big for `mtu` (RFC 1191; RFC 4443, 3.2). */
#define ICMP_UNREACHABLE    3
#define ICMP_PORT           3
#define ICMP_FRAG_NEEDED    4
#define ICMPV6_UNREACHABLE  1
#define ICMPV6_PORT         4
#define ICMPV6_TOO_BIG      2

#define QUOTED 8   /* bytes of a datagram or segment that the error quotes, its ports first */

/* The quoted header is a plain one with the same addresses: options are left out. */
static __always_inline long write_icmp_error_ipv4(struct __sk_buff *skb,
						  const struct packet *p, u32 mtu)
{
	struct {
		u8 type, code;
		u16 check;
		u32 mtu;
		struct iphdr ip;
		u8 data[QUOTED];
	} error = {
		.type = ICMP_UNREACHABLE, .code = mtu ? ICMP_FRAG_NEEDED : ICMP_PORT,
		.mtu = bpf_htonl(mtu),
		.ip = {
			.version = 4, .ihl = 5, .ttl = 64, .protocol = p->key.proto,
			.tot_len = bpf_htons(sizeof(struct iphdr) + QUOTED),
			.saddr = p->key.saddr[3], .daddr = p->key.daddr[3],
		},
	};

	if (bpf_skb_load_bytes(skb, p->l4, error.data, QUOTED))
		return 1;
	error.check = fold_checksum(bpf_csum_diff(NULL, 0, (void *)&error, sizeof(error), 0));
	return bpf_skb_change_tail(skb, p->l4 + sizeof(error), 0)
	    || reverse_ip_header(skb, p, sizeof(error), IPPROTO_ICMP)
	    || bpf_skb_store_bytes(skb, p->l4, &error, sizeof(error), 0);
}

static __always_inline long write_icmp_error_ipv6(struct __sk_buff *skb,
						  const struct packet *p, u32 mtu, bool leaves)
{
	struct {
		u8 type, code;
		u16 check;
		u16 mtu_high, mtu;
		struct ipv6hdr ip;
		u8 data[QUOTED];
	} error = {
		.type = mtu ? ICMPV6_TOO_BIG : ICMPV6_UNREACHABLE,
		.code = mtu ? 0 : ICMPV6_PORT,
		.mtu = bpf_htons(mtu),
	};
	s64 pseudo = sum_pseudo_header(p, sizeof(error), IPPROTO_ICMPV6);
	struct ipv6hdr ip = {
		.version = 6, .nexthdr = IPPROTO_ICMPV6, .hop_limit = 64,
		.payload_len = bpf_htons(sizeof(error)),
	};

	error.ip.version = 6;
	error.ip.nexthdr = p->key.proto;
	error.ip.hop_limit = 64;
	error.ip.payload_len = bpf_htons(QUOTED);
	__builtin_memcpy(&error.ip.saddr, p->key.saddr, 16);
	__builtin_memcpy(&error.ip.daddr, p->key.daddr, 16);
	__builtin_memcpy(&ip.saddr, p->key.daddr, 16);
	__builtin_memcpy(&ip.daddr, p->key.saddr, 16);
	if (bpf_skb_load_bytes(skb, p->l4, error.data, QUOTED))
		return 1;
	error.check = fold_checksum(bpf_csum_diff(NULL, 0, (void *)&error, sizeof(error), pseudo));
	/* A checksum that is still to be filled in is the datagram's, and comes to lie where
	 * an unreachable has an unused field. With the pseudo header in there it makes the
	 * whole right, whatever error.check is. */
	if (leaves)
		error.mtu = ~fold_checksum(pseudo);
	/* Here extension headers go: the last of them names the protocol. (Linux sends none
	 * in front of a datagram whose checksum is still to be filled in.) */
	return bpf_skb_change_tail(skb, p->l2 + sizeof(ip) + sizeof(error), 0)
	    || bpf_skb_store_bytes(skb, p->l2, &ip, sizeof(ip), 0)
	    || bpf_skb_store_bytes(skb, p->l2 + sizeof(ip), &error, sizeof(error), 0)
	    || (leaves && clear_if_complete(skb, p->l2 + sizeof(ip) + UDP_CHECK, error.mtu));
}
