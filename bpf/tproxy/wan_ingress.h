/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a glance tells that a packet is no datagram. */
static __always_inline bool is_plain_tcp(struct __sk_buff *skb, u32 l2)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + l2;
	struct ipv6hdr *ip6 = data + l2;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		return (void *)(ip + 1) <= end && ip->protocol == IPPROTO_TCP;
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return (void *)(ip6 + 1) <= end && ip6->nexthdr == IPPROTO_TCP;
	return false;
}

/* The ingress of an interface with output: the answers to its device-bound clients, which
 * our programs redirect to it, and who outside sends datagrams to this host. */
static __always_inline int watch_incoming(struct __sk_buff *skb, u32 l2)
{
	struct packet p = {};

	if (take_own_answer(skb))
		return TC_ACT_OK;
	if (!is_plain_tcp(skb, l2) && parse_packet(skb, l2, &p) == GO_ON)
		remember_visitor(skb, &p);
	return TC_ACT_UNSPEC;
}
