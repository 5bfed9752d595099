/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Answer in the far end's name that nobody is there: a reset for a SYN (RFC 9293,
 * 3.10.7.1), port unreachable for a datagram (RFC 792, RFC 4443 3.1). The stack
 * cannot do it: its own answer would need a source address that is not local.
 *
 * The skb may be a clone of the one in the client's retransmit queue; the helpers
 * used here copy the header before they write. */

/* Offsets in the IP headers. */
#define IP_LENGTH   2
#define IP_TTL      8
#define IP_CHECK   10
#define IP_ENDS    12
#define IP6_LENGTH  4
#define IP6_ENDS    8
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

/* Turn the IP header around where it stands, options and all, `length` bytes behind it:
 * the kernel cuts nothing off in front of a checksum that it still has to fill in. */
static __always_inline long turn_ip(struct __sk_buff *skb, const struct packet *p,
				    u32 length, u8 proto)
{
	struct { u32 saddr[4], daddr[4]; } ends6;
	struct { u32 saddr, daddr; } ends = {p->key.daddr[3], p->key.saddr[3]};
	struct { u8 ttl, proto; } old, new;
	u16 old_length, new_length = bpf_htons(length + p->l4 - p->l2);

	if (p->v6) {
		new_length = bpf_htons(length + p->l4 - p->l2 - sizeof(struct ipv6hdr));
		__builtin_memcpy(ends6.saddr, p->key.daddr, 16);
		__builtin_memcpy(ends6.daddr, p->key.saddr, 16);
		return bpf_skb_store_bytes(skb, p->l2 + IP6_LENGTH, &new_length, 2, 0)
		    || bpf_skb_store_bytes(skb, p->l2 + IP6_ENDS, &ends6, sizeof(ends6), 0);
	}
	if (bpf_skb_load_bytes(skb, p->l2 + IP_LENGTH, &old_length, 2)
	    || bpf_skb_load_bytes(skb, p->l2 + IP_TTL, &old, 2))
		return 1;
	new.ttl = old.ttl;
	new.proto = proto;
	/* Swapping the addresses leaves the checksum as it is. */
	return bpf_l3_csum_replace(skb, p->l2 + IP_CHECK, old_length, new_length, 2)
	    || bpf_l3_csum_replace(skb, p->l2 + IP_CHECK, *(u16 *)&old, *(u16 *)&new, 2)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_LENGTH, &new_length, 2, 0)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_TTL, &new, 2, 0)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_ENDS, &ends, sizeof(ends), 0);
}

static __always_inline long make_reset(struct __sk_buff *skb, const struct packet *p)
{
	struct tcphdr tcp = {
		.source = p->key.dport,
		.dest = p->key.sport,
		.doff = 5,
		.rst = 1,
	};

	if (p->ack) {
		tcp.seq = p->ack_seq;
	} else {
		tcp.ack_seq = bpf_htonl(bpf_ntohl(p->seq) + p->syn);
		tcp.ack = 1;
	}
	tcp.check = fold(bpf_csum_diff(NULL, 0, (void *)&tcp, sizeof(tcp),
				       pseudo_sum(p, sizeof(tcp), IPPROTO_TCP)));
	return bpf_skb_change_tail(skb, p->l4 + sizeof(tcp), 0)
	    || turn_ip(skb, p, sizeof(tcp), IPPROTO_TCP)
	    || bpf_skb_store_bytes(skb, p->l4, &tcp, sizeof(tcp), 0);
}

/* The quotation is a plain header of the same addresses: options are left out. */
static __always_inline long unreachable_v4(struct __sk_buff *skb, const struct packet *p)
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
	error.check = fold(bpf_csum_diff(NULL, 0, (void *)&error, sizeof(error), 0));
	return bpf_skb_change_tail(skb, p->l4 + sizeof(error), 0)
	    || turn_ip(skb, p, sizeof(error), IPPROTO_ICMP)
	    || bpf_skb_store_bytes(skb, p->l4, &error, sizeof(error), 0);
}

static __always_inline long unreachable_v6(struct __sk_buff *skb, const struct packet *p)
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
	error.check = fold(bpf_csum_diff(NULL, 0, (void *)&error, sizeof(error),
					 pseudo_sum(p, sizeof(error), IPPROTO_ICMPV6)));
	/* Here extension headers go: the last of them names the protocol, and the error
	 * is long enough to lie behind any checksum that is still to be filled in. */
	return bpf_skb_change_tail(skb, p->l2 + sizeof(ip) + sizeof(error), 0)
	    || bpf_skb_store_bytes(skb, p->l2, &ip, sizeof(ip), 0)
	    || bpf_skb_store_bytes(skb, p->l2 + sizeof(ip), &error, sizeof(error), 0);
}

/* `local`: the client is a socket of this host, and the answer enters by the device
 * it was leaving by; else the client is behind the device, and the answer leaves. */
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *p, bool local)
{
	u8 macs[12], swapped[12];
	long err;

	if (p->key.proto == IPPROTO_TCP)
		err = make_reset(skb, p);
	else
		err = p->v6 ? unreachable_v6(skb, p) : unreachable_v4(skb, p);
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
