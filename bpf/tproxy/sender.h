/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Who has sent a packet that leaves. */

/* The full socket that sent the packet; NULL: there is none, or it is not the sender's own.
 *
 * Some segments leave in the name of a socket that is gone, or in TIME_WAIT: resets by a
 * listener that has the port now, or by a control socket of the kernel, which is a raw one;
 * acknowledgements, before Linux 6.13, by a control socket too. The ports tell nothing: the
 * kernel takes a socket's own port away (src_port is 0) before it sends the reset of one that
 * was closed with SO_LINGER 0 or with data unread, or was disconnected. */
static __always_inline struct bpf_sock *sending_socket(struct __sk_buff *skb,
							const struct packet *p)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk && p->key.proto == IPPROTO_TCP
	    && (sk->protocol != IPPROTO_TCP || sk->type != SOCK_STREAM
		|| sk->state == BPF_TCP_LISTEN))
		sk = NULL;
	/* The verifier wants to see the pointer itself compared with NULL, and not what the
	 * compiler knows of the conditions above. */
	asm volatile("" : "+r"(sk));
	return sk;
}

/* A packet socket sends a frame as it is, past routing and netfilter: to where it says. */
static __always_inline bool is_from_packet_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	return sk && sk->family == AF_PACKET;
}

/* Whether netfilter has given a packet with this source another than its socket's. An IPv4 address is
 * one word. */
static __always_inline bool has_other_source(struct bpf_sock *sk, u32 v6, const u32 *addr, u16 port)
{
	if (!sk->src_port)
		return false;   /* the kernel has taken it away */
	if (bpf_htons(sk->src_port) != port)
		return true;
	if (!v6)
		return sk->src_ip4 && sk->src_ip4 != addr[0];
	return sk->src_ip6[0] && (sk->src_ip6[3] != addr[3] || sk->src_ip6[2] != addr[2]
				  || sk->src_ip6[1] != addr[1] || sk->src_ip6[0] != addr[0]);
}

/* A packet to the socket that sent this one. The socket's own address and port, as netfilter
 * may have given the packet others. */
static __always_inline void fill_own_key(struct flow_key *own, const struct packet *p,
					 struct bpf_sock *sk)
{
	reverse_key(own, &p->key);
	own->dport = bpf_htons(sk->src_port);
	if (p->v6) {
		if (!sk->src_ip6[0])
			return;
		own->daddr[0] = sk->src_ip6[0];
		own->daddr[1] = sk->src_ip6[1];
		own->daddr[2] = sk->src_ip6[2];
		own->daddr[3] = sk->src_ip6[3];
	} else if (sk->src_ip4) {
		own->daddr[3] = sk->src_ip4;
	}
}

/* Whether the sender is a socket of another network namespace, whose macvlan or ipvlan hands
 * its packets to this device. A socket of this namespace is found with its own tuple; unless
 * it shares its port with others, or is bound to a device above this one (a bond's, say). Then
 * the address tells whose it is, where the kernel tells whose the address is. */
static __always_inline bool is_of_other_namespace(struct __sk_buff *skb, const struct packet *p,
						  const struct config *c,
						  struct bpf_sock *sk)
{
	bool may_be_found = !sk->bound_dev_if || sk->bound_dev_if == skb->ifindex;
	struct flow_key own = {};
	struct bpf_sock *found;
	bool same;

	if (sk->protocol != p->key.proto || sk->type == SOCK_RAW)
		return false;
	fill_own_key(&own, p, sk);
	found = lookup_socket(skb, &own, p->key.proto == IPPROTO_UDP, p->v6);
	if (found) {
		same = (u64)found == (u64)sk;
		bpf_sk_release(found);
		if (same)
			return false;
		may_be_found = false;
	}
	switch (check_route(skb, &own, 0, p->v6, c)) {
	case OUT_LOCAL:
		return false;
	case OUT_NOT_FORWARDING:   /* says so of every address */
		return may_be_found;
	default:
		return true;
	}
}
