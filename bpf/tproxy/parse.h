/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

#define L2_LEN 14

/* Offsets in the IPv4 header. */
#define IP_LEN   2
#define IP_CHECK 10
#define IP_ENDS  12
/* Offsets in the TCP header; the flags are the low byte of their 16 bits. */
#define TCP_FLAGS 12
#define TCP_CHECK 16
#define TCP_SYN   0x0002

struct packet {
	struct bpf_sock_tuple tuple;   /* saddr, daddr, sport, dport: network order */
	u32 l4;                        /* offset of the TCP header */
	u32 seq;                       /* network order */
	u8 syn;                        /* SYN without ACK: opens a connection */
	u8 syn_ack;                    /* answers one */
	u8 rst;
};

/* Returns OUT_INTERCEPTED when `p` is filled, else the reason why not. */
static __always_inline u32 parse(struct __sk_buff *skb, struct packet *p)
{
	const u32 want = L2_LEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	void *data, *end;
	struct iphdr *ip;
	struct tcphdr *tcp;
	u32 ihl;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return OUT_OTHER_PROTOCOL;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + L2_LEN + sizeof(*ip) > end) {
		/* Headers may sit in a page fragment; pulling makes them linear. */
		if (bpf_skb_pull_data(skb, L2_LEN + sizeof(*ip)))
			return OUT_MALFORMED;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		if (data + L2_LEN + sizeof(*ip) > end)
			return OUT_MALFORMED;
	}
	ip = data + L2_LEN;
	if (ip->version != 4 || ip->ihl < 5)
		return OUT_MALFORMED;
	if (ip->protocol != IPPROTO_TCP)
		return OUT_OTHER_PROTOCOL;
	if (ip->frag_off & bpf_htons(IP_OFFSET_MASK | IP_MORE_FRAGS))
		return OUT_FRAGMENT;

	ihl = ip->ihl * 4;
	p->l4 = L2_LEN + ihl;
	if (data + p->l4 + sizeof(*tcp) > end) {
		if (bpf_skb_pull_data(skb, p->l4 + sizeof(*tcp)))
			return OUT_MALFORMED;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		if (data + want > end)
			return OUT_MALFORMED;
		ip = data + L2_LEN;
	}
	p->tuple.ipv4.saddr = ip->saddr;
	p->tuple.ipv4.daddr = ip->daddr;

	tcp = data + p->l4;
	if ((void *)(tcp + 1) > end)
		return OUT_MALFORMED;
	p->tuple.ipv4.sport = tcp->source;
	p->tuple.ipv4.dport = tcp->dest;
	p->seq = tcp->seq;
	p->syn = tcp->syn && !tcp->ack;
	p->syn_ack = tcp->syn && tcp->ack;
	p->rst = tcp->rst;
	return OUT_INTERCEPTED;
}
