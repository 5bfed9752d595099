/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The way of most packets: a segment of a connection whose handshake is over, from a client
 * that is bound to no device. Its socket has the verdict, and its headers are where they
 * always are. A packet that a tunnel has wrapped keeps its socket and is none: its headers
 * name another destination. */
static __always_inline bool is_settled_segment(struct __sk_buff *skb, u32 l2)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_sock *sk = skb->sk;
	struct iphdr *ip = data + l2;
	struct ipv6hdr *ip6 = data + l2;
	struct tcphdr *tcp;
	struct socket_verdict *kept;
	u32 protocol = skb->protocol;

	if (!sk || skb->vlan_present || skb->ingress_ifindex)
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->bound_dev_if)
		return false;
	kept = flows.sk_storage_get(sk, 0, 0);
	if (!kept || kept->verdict != VERDICT_INTERCEPT || !kept->settled)
		return false;
	if (protocol == bpf_htons(ETH_P_IP)) {
		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end)
			return false;
		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_TCP
		    || ip->frag_off & bpf_htons(IP_OFFSET_MASK | IP_MORE_FRAGS)
		    || ip->daddr != kept->daddr[3])
			return false;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		tcp = (void *)(ip6 + 1);
		if ((void *)(tcp + 1) > end)
			return false;
		if (ip6->version != 6 || ip6->nexthdr != IPPROTO_TCP
		    || ip6->daddr.in6_u.u6_addr32[3] != kept->daddr[3]
		    || ip6->daddr.in6_u.u6_addr32[2] != kept->daddr[2]
		    || ip6->daddr.in6_u.u6_addr32[1] != kept->daddr[1]
		    || ip6->daddr.in6_u.u6_addr32[0] != kept->daddr[0])
			return false;
	} else {
		return false;
	}
	return tcp->dest == kept->dport && tcp->doff >= 5 && !tcp->syn && !tcp->fin && !tcp->rst;
}
