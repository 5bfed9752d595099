/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Answer in the far end's name that nobody is there: a reset for a SYN (RFC 9293,
 * 3.10.7.1), port unreachable for a datagram (RFC 792, RFC 4443 3.1). The stack
 * cannot do it: its own answer would need a source address that is not local.
 *
 * The skb may be a clone of the one in the client's retransmit queue; the helpers
 * used here copy the header before they write. */

#define ICMP_PORT_UNREACHABLE_TYPE   3
#define ICMP_PORT_UNREACHABLE_CODE   3
#define ICMPV6_PORT_UNREACHABLE_TYPE 1
#define ICMPV6_PORT_UNREACHABLE_CODE 4
#define QUOTED 8   /* bytes of the datagram that the error quotes */

static __always_inline u16 fold(s64 sum)
{
	u64 s = (u32)sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return ~s;
}

struct pseudo {
	u32 saddr[4];
	u32 daddr[4];
	u32 length;
	u32 proto;
};

/* The pseudo header of IPv6 (RFC 8200, 8.1). For IPv4 it gives the same sum when the
 * address words in front are 0, since the words add up in any order. */
static __always_inline s64 pseudo_sum(const struct packet *p, u32 length, u32 proto)
{
	struct pseudo h = {.length = bpf_htonl(length), .proto = bpf_htonl(proto)};

	__builtin_memcpy(h.saddr, p->key.daddr, 16);
	__builtin_memcpy(h.daddr, p->key.saddr, 16);
	if (!p->v6) {
		h.saddr[2] = 0;
		h.daddr[2] = 0;
	}
	return bpf_csum_diff(NULL, 0, (void *)&h, sizeof(h), 0);
}

static __always_inline long put_ip(struct __sk_buff *skb, const struct packet *p,
				   u32 length, u32 proto)
{
	if (p->v6) {
		struct ipv6hdr ip6 = {
			.version = 6,
			.payload_len = bpf_htons(length),
			.nexthdr = proto,
			.hop_limit = 64,
		};

		__builtin_memcpy(&ip6.saddr, p->key.daddr, 16);
		__builtin_memcpy(&ip6.daddr, p->key.saddr, 16);
		return bpf_skb_store_bytes(skb, p->l2, &ip6, sizeof(ip6), 0);
	}
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(struct iphdr) + length),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = proto,
		.saddr = p->key.daddr[3],
		.daddr = p->key.saddr[3],
	};

	ip.check = fold(bpf_csum_diff(NULL, 0, (void *)&ip, sizeof(ip), 0));
	return bpf_skb_store_bytes(skb, p->l2, &ip, sizeof(ip), 0);
}

static __always_inline long make_reset(struct __sk_buff *skb, const struct packet *p)
{
	const u32 header = p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	struct tcphdr tcp = {
		.source = p->key.dport,
		.dest = p->key.sport,
		.ack_seq = bpf_htonl(bpf_ntohl(p->seq) + 1),
		.doff = 5,
		.rst = 1,
		.ack = 1,
	};

	tcp.check = fold(bpf_csum_diff(NULL, 0, (void *)&tcp, sizeof(tcp),
				       pseudo_sum(p, sizeof(tcp), IPPROTO_TCP)));
	return bpf_skb_change_tail(skb, p->l2 + header + sizeof(tcp), 0)
	    || put_ip(skb, p, sizeof(tcp), IPPROTO_TCP)
	    || bpf_skb_store_bytes(skb, p->l2 + header, &tcp, sizeof(tcp), 0);
}

/* The error quotes the header as it was, without options or extensions: those are
 * left out of the quotation by giving a plain header of the same addresses. */
static __always_inline long make_unreachable(struct __sk_buff *skb, const struct packet *p)
{
	const u32 header = p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const u32 length = 8 + header + QUOTED;
	struct {
		u8 type, code;
		u16 check;
		u32 unused;
		u8 quote[sizeof(struct ipv6hdr) + QUOTED];
	} icmp = {};
	s64 sum = 0;

	if (p->v6) {
		struct ipv6hdr *quoted = (void *)icmp.quote;

		icmp.type = ICMPV6_PORT_UNREACHABLE_TYPE;
		icmp.code = ICMPV6_PORT_UNREACHABLE_CODE;
		quoted->version = 6;
		quoted->nexthdr = IPPROTO_UDP;
		quoted->hop_limit = 64;
		quoted->payload_len = bpf_htons(QUOTED);
		__builtin_memcpy(&quoted->saddr, p->key.saddr, 16);
		__builtin_memcpy(&quoted->daddr, p->key.daddr, 16);
		if (bpf_skb_load_bytes(skb, p->l4, icmp.quote + sizeof(*quoted), QUOTED))
			return 1;
		sum = pseudo_sum(p, length, IPPROTO_ICMPV6);
		icmp.check = fold(bpf_csum_diff(NULL, 0, (void *)&icmp,
						8 + sizeof(struct ipv6hdr) + QUOTED, sum));
		return bpf_skb_change_tail(skb, p->l2 + header + length, 0)
		    || put_ip(skb, p, length, IPPROTO_ICMPV6)
		    || bpf_skb_store_bytes(skb, p->l2 + header, &icmp,
					   8 + sizeof(struct ipv6hdr) + QUOTED, 0);
	}
	struct iphdr *quoted = (void *)icmp.quote;

	icmp.type = ICMP_PORT_UNREACHABLE_TYPE;
	icmp.code = ICMP_PORT_UNREACHABLE_CODE;
	quoted->version = 4;
	quoted->ihl = 5;
	quoted->ttl = 64;
	quoted->protocol = IPPROTO_UDP;
	quoted->tot_len = bpf_htons(sizeof(*quoted) + QUOTED);
	quoted->saddr = p->key.saddr[3];
	quoted->daddr = p->key.daddr[3];
	if (bpf_skb_load_bytes(skb, p->l4, icmp.quote + sizeof(*quoted), QUOTED))
		return 1;
	icmp.check = fold(bpf_csum_diff(NULL, 0, (void *)&icmp,
					8 + sizeof(struct iphdr) + QUOTED, 0));
	return bpf_skb_change_tail(skb, p->l2 + header + length, 0)
	    || put_ip(skb, p, length, IPPROTO_ICMP)
	    || bpf_skb_store_bytes(skb, p->l2 + header, &icmp,
				   8 + sizeof(struct iphdr) + QUOTED, 0);
}

/* `local`: the client is a socket of this host, and the answer enters by the device
 * it was leaving by; else the client is behind the device, and the answer leaves. */
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *p, bool local)
{
	u8 macs[12], swapped[12];
	long err;

	err = p->key.proto == IPPROTO_UDP ? make_unreachable(skb, p) : make_reset(skb, p);
	if (err)
		return TC_ACT_SHOT;
	if (local) {
		skb->cb[CB_MAGIC] = CB_TO_CLIENT;
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	}
	if (p->l2 == ETHERNET && !bpf_skb_load_bytes(skb, 0, macs, 12)) {
		__builtin_memcpy(swapped, macs + 6, 6);
		__builtin_memcpy(swapped + 6, macs, 6);
		bpf_skb_store_bytes(skb, 0, swapped, 12, 0);
	}
	return bpf_redirect(skb->ifindex, 0);
}
