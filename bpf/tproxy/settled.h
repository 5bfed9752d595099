/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The TCP header of a whole segment that is no SYN, where headers always are. `kept`: it goes to
 * where the socket with this verdict connected; `sk`: it comes from that socket's address and port.
 * A packet that a tunnel has wrapped keeps its socket and is none: its headers name another
 * destination, or another protocol. */
static __always_inline struct tcphdr *plain_segment(struct __sk_buff *skb, u32 l2,
						    const struct socket_verdict *kept,
						    struct bpf_sock *sk)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + l2;
	struct ipv6hdr *ip6 = data + l2;
	struct tcphdr *tcp;
	u32 protocol = skb->protocol;

	if (protocol == bpf_htons(ETH_P_IP)) {
		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end)
			return NULL;
		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_TCP
		    || ip->frag_off & bpf_htons(IP_OFFSET_MASK | IP_MORE_FRAGS)
		    || (kept && ip->daddr != kept->daddr[3]))
			return NULL;
		if (sk && has_other_source(sk, 0, &ip->saddr, tcp->source))
			return NULL;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		tcp = (void *)(ip6 + 1);
		if ((void *)(tcp + 1) > end)
			return NULL;
		if (ip6->version != 6 || ip6->nexthdr != IPPROTO_TCP
		    || (kept && (ip6->daddr.in6_u.u6_addr32[3] != kept->daddr[3]
				 || ip6->daddr.in6_u.u6_addr32[2] != kept->daddr[2]
				 || ip6->daddr.in6_u.u6_addr32[1] != kept->daddr[1]
				 || ip6->daddr.in6_u.u6_addr32[0] != kept->daddr[0])))
			return NULL;
		if (sk && has_other_source(sk, 1, ip6->saddr.in6_u.u6_addr32, tcp->source))
			return NULL;
	} else {
		return NULL;
	}
	if (tcp->doff < 5 || tcp->syn || (kept && tcp->dest != kept->dport))
		return NULL;
	return tcp;
}

/* The way of most packets: a segment of a connection of which all is settled. Its socket has the
 * verdict. Returns OUT_INTERCEPTED: the handshake is over, and the client is bound to no device;
 * OUT_UNTRACKED: it goes out directly; GO_ON: nothing is settled. */
static __always_inline u32 settled_outcome(struct __sk_buff *skb, u32 l2)
{
	struct bpf_sock *sk = skb->sk;
	struct tcphdr *tcp;
	struct socket_verdict *kept;

	if (!sk || skb->vlan_present || skb->ingress_ifindex)
		return GO_ON;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return GO_ON;
	kept = flows.sk_storage_get(sk, 0, 0);
	if (!kept || kept->verdict == VERDICT_BYPASS) {
		/* One that listens lends its name to resets of others, and so do raw ones. */
		if (sk->protocol != IPPROTO_TCP || sk->type != SOCK_STREAM
		    || sk->state == BPF_TCP_LISTEN || !plain_segment(skb, l2, kept, NULL))
			return GO_ON;
		return OUT_UNTRACKED;
	}
	if (kept->verdict != VERDICT_INTERCEPT || !kept->settled || sk->bound_dev_if)
		return GO_ON;
	tcp = plain_segment(skb, l2, kept, sk);
	return tcp && !tcp->fin && !tcp->rst ? OUT_INTERCEPTED : GO_ON;
}
