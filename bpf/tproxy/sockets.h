/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The socket that a received packet with this key belongs to, referenced: release it. For
 * TCP it may be a request socket or one in TIME_WAIT. */
static __always_inline struct bpf_sock *
lookup_socket(struct __sk_buff *skb, const struct flow_key *k, u32 udp, u32 v6)
{
	struct bpf_sock_tuple t = {};

	if (v6)
		return udp ? bpf_sk_lookup_udp(skb, (void *)k, sizeof(t.ipv6),
					       BPF_F_CURRENT_NETNS, 0)
			   : bpf_skc_lookup_tcp(skb, (void *)k, sizeof(t.ipv6),
						BPF_F_CURRENT_NETNS, 0);
	t.ipv4.saddr = k->saddr[3];
	t.ipv4.daddr = k->daddr[3];
	t.ipv4.sport = k->sport;
	t.ipv4.dport = k->dport;
	return udp ? bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0)
		   : bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/* The state of the TCP socket that a received packet like this belongs to; 0: none. */
static __always_inline u32 lookup_state(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = lookup_socket(skb, &p->key, 0, p->v6);
	u32 state;

	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}

/* Whether it belongs to a connection. A listener is some server of this host. */
static __always_inline bool has_connection(struct __sk_buff *skb, const struct packet *p)
{
	u32 state = lookup_state(skb, p);

	return state && state != BPF_TCP_LISTEN;
}
