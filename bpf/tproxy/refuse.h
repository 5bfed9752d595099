/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Turn a SYN into the reset that answers it (RFC 9293, 3.10.7.1) and hand it to
 * the device it was leaving by, as if the far end had refused. The stack cannot
 * do it: its own reset would need a source address that is not local.
 *
 * The skb may be a clone of the one in the client's retransmit queue; the
 * helpers used here copy the header before they write. */
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *p)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct tcphdr)),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
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
		.saddr = ip.saddr, .daddr = ip.daddr,
		.proto = IPPROTO_TCP, .len = bpf_htons(sizeof(tcp)),
	};
	s64 sum;

	sum = bpf_csum_diff(NULL, 0, (void *)&ip, sizeof(ip), 0);
	sum = (sum & 0xffff) + ((u64)sum >> 16 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = ~sum;
	sum = bpf_csum_diff(NULL, 0, (void *)&pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(NULL, 0, (void *)&tcp, sizeof(tcp), sum);
	sum = (sum & 0xffff) + ((u64)sum >> 16 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	tcp.check = ~sum;

	if (bpf_skb_change_tail(skb, L2_LEN + sizeof(ip) + sizeof(tcp), 0)
	    || bpf_skb_store_bytes(skb, L2_LEN, &ip, sizeof(ip), 0)
	    || bpf_skb_store_bytes(skb, L2_LEN + sizeof(ip), &tcp, sizeof(tcp), 0))
		return drop(skb, skb->ifindex, OUT_MALFORMED);

	skb->cb[CB_MAGIC] = CB_TO_CLIENT;
	count(skb, skb->ifindex, OUT_REFUSED);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}
