/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Turn a SYN into the reset that answers it (RFC 9293, 3.10.7.1) and hand it to
 * the device it was leaving by, as if the far end had refused. The stack cannot
 * do it: its own reset would need a source address that is not local.
 *
 * The IP header stays where it is, options and all: the kernel cuts nothing off
 * before the TCP checksum it still has to fill in. The skb may be a clone of the
 * one in the client's retransmit queue; the helpers used here copy the header
 * before they write. */
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *p)
{
	const u32 size = p->l4 + sizeof(struct tcphdr);
	struct { u32 saddr, daddr; } ends = {
		.saddr = p->tuple.ipv4.daddr,
		.daddr = p->tuple.ipv4.saddr,
	};
	struct tcphdr tcp = {
		.source = p->tuple.ipv4.dport,
		.dest = p->tuple.ipv4.sport,
		.ack_seq = bpf_htonl(bpf_ntohl(p->seq) + 1),
		.doff = 5,
		.rst = 1,
		.ack = 1,
	};
	struct { u32 saddr, daddr; u8 zero, proto; u16 len; } pseudo = {
		.saddr = ends.saddr, .daddr = ends.daddr,
		.proto = IPPROTO_TCP, .len = bpf_htons(sizeof(tcp)),
	};
	__be16 len = bpf_htons(size - L2_LEN), old;
	s64 sum;

	sum = bpf_csum_diff(NULL, 0, (void *)&pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(NULL, 0, (void *)&tcp, sizeof(tcp), sum);
	sum = (sum & 0xffff) + ((u64)sum >> 16 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	tcp.check = ~sum;

	/* Swapping the addresses leaves the header's checksum as it is. */
	if (bpf_skb_load_bytes(skb, L2_LEN + IP_LEN, &old, sizeof(old))
	    || bpf_skb_change_tail(skb, size, 0)
	    || bpf_l3_csum_replace(skb, L2_LEN + IP_CHECK, old, len, sizeof(len))
	    || bpf_skb_store_bytes(skb, L2_LEN + IP_LEN, &len, sizeof(len), 0)
	    || bpf_skb_store_bytes(skb, L2_LEN + IP_ENDS, &ends, sizeof(ends), 0)
	    || bpf_skb_store_bytes(skb, p->l4, &tcp, sizeof(tcp), 0))
		return drop(skb, skb->ifindex, OUT_MALFORMED);

	skb->cb[CB_MAGIC] = CB_TO_CLIENT;
	count(skb, skb->ifindex, OUT_REFUSED);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}
