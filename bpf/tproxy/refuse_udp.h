/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Port unreachable (RFC 792; RFC 4443, 3.1). */

#define QUOTED 8   /* bytes of the datagram that the error quotes: its ports are among them */

/* The quoted header is a plain one with the same addresses: options are left out. */
static __always_inline long write_unreachable_ipv4(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		u8 type, code;
		u16 check;
		u32 unused;
		struct iphdr ip;
		u8 data[QUOTED];
	} error = {
		.type = 3, .code = 3,   /* port unreachable */
		.ip = {
			.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
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

static __always_inline long write_unreachable_ipv6(struct __sk_buff *skb, const struct packet *p)
{
	struct {
		u8 type, code;
		u16 check;
		u32 unused;
		struct ipv6hdr ip;
		u8 data[QUOTED];
	} error = {.type = 1, .code = 4};   /* port unreachable */
	struct ipv6hdr ip = {
		.version = 6, .nexthdr = IPPROTO_ICMPV6, .hop_limit = 64,
		.payload_len = bpf_htons(sizeof(error)),
	};

	error.ip.version = 6;
	error.ip.nexthdr = IPPROTO_UDP;
	error.ip.hop_limit = 64;
	error.ip.payload_len = bpf_htons(QUOTED);
	__builtin_memcpy(&error.ip.saddr, p->key.saddr, 16);
	__builtin_memcpy(&error.ip.daddr, p->key.daddr, 16);
	__builtin_memcpy(&ip.saddr, p->key.daddr, 16);
	__builtin_memcpy(&ip.daddr, p->key.saddr, 16);
	if (bpf_skb_load_bytes(skb, p->l4, error.data, QUOTED))
		return 1;
	error.check = fold_checksum(bpf_csum_diff(NULL, 0, (void *)&error, sizeof(error),
					 sum_pseudo_header(p, sizeof(error), IPPROTO_ICMPV6)));
	/* Here extension headers go: the last of them names the protocol, and the error
	 * is long enough to lie behind any checksum that is still to be filled in. */
	return bpf_skb_change_tail(skb, p->l2 + sizeof(ip) + sizeof(error), 0)
	    || bpf_skb_store_bytes(skb, p->l2, &ip, sizeof(ip), 0)
	    || bpf_skb_store_bytes(skb, p->l2 + sizeof(ip), &error, sizeof(error), 0);
}
