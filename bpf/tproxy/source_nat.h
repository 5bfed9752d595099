/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Source NAT (masquerade, snat) is done when a packet gets here: its source may be another than its
 * socket's. conntrack knows a flow by the packet as it was sent, and by the answer to it as it left.
 * On its way in by lo this one would be neither, and clash with its own flow. With the socket's
 * address and port it is the same flow's once more: netfilter gives it its other source again where
 * it comes in (LOCAL_IN), and takes that from the proxy's answers where they leave (OUTPUT). */

#define IPV4_CHECK 10
#define IPV4_SOURCE 12
#define IPV6_SOURCE 8

static __always_inline void put_back_port(struct __sk_buff *skb, const struct packet *p, u16 port)
{
	bool udp = p->key.proto == IPPROTO_UDP;

	if (port == p->key.sport)
		return;
	bpf_l4_csum_replace(skb, p->l4 + (udp ? UDP_CHECK : TCP_CHECK), p->key.sport, port,
			    sizeof(port) | (udp ? BPF_F_MARK_MANGLED_0 : 0));
	bpf_skb_store_bytes(skb, p->l4, &port, sizeof(port), 0);
}

static __always_inline void put_back_address(struct __sk_buff *skb, const struct packet *p,
					     u32 *addr, u32 size)
{
	bool udp = p->key.proto == IPPROTO_UDP;
	u64 flags = BPF_F_PSEUDO_HDR | (udp ? BPF_F_MARK_MANGLED_0 : 0);
	u32 check = p->l4 + (udp ? UDP_CHECK : TCP_CHECK);
	u32 *old = (u32 *)&p->key.saddr[4 - size / 4];
	s64 diff = bpf_csum_diff(old, size, addr, size, 0);

	bpf_l4_csum_replace(skb, check, 0, diff, flags);
	if (!p->v6)
		bpf_l3_csum_replace(skb, p->l2 + IPV4_CHECK, 0, diff, 0);
	bpf_skb_store_bytes(skb, p->l2 + (p->v6 ? IPV6_SOURCE : IPV4_SOURCE), addr, size, 0);
}

/* Give a packet the source back that its socket has. */
static __always_inline void put_back_source(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = skb->sk, *full;
	bool tcp = p->key.proto == IPPROTO_TCP;
	u32 addr[4];
	u16 port;

	if (!sk)
		return;
	full = bpf_sk_fullsock(sk);
	/* Of what is none, in TIME_WAIT say, only the addresses and ports can be read. The port of a
	 * raw one, as the kernel has to send resets by, is the protocol's number. */
	if (full ? full->protocol != p->key.proto || full->type == SOCK_RAW
		 : !tcp || sk->dst_port != p->key.dport)
		return;
	if (!has_other_source(sk, p->v6, p->v6 ? p->key.saddr : &p->key.saddr[3], p->key.sport))
		return;
	port = bpf_htons(sk->src_port);
	if (p->v6) {
		addr[0] = sk->src_ip6[0];
		addr[1] = sk->src_ip6[1];
		addr[2] = sk->src_ip6[2];
		addr[3] = sk->src_ip6[3];
		put_back_port(skb, p, port);
		if (addr[0])
			put_back_address(skb, p, addr, 16);
		return;
	}
	addr[0] = sk->src_ip4;
	put_back_port(skb, p, port);
	if (addr[0])
		put_back_address(skb, p, addr, 4);
}
