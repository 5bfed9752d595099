/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The proxy's listening socket, referenced; release it. The client's address
 * and port go into the lookup because SO_REUSEPORT groups hash over them. */
static __always_inline struct bpf_sock *
listener_get(struct __sk_buff *skb, const struct packet *p, const struct config *c)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;

	t.ipv4.saddr = p->tuple.ipv4.saddr;
	t.ipv4.sport = p->tuple.ipv4.sport;
	t.ipv4.daddr = c->tcp4.addr;
	t.ipv4.dport = c->tcp4.port;
	sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return NULL;
	if (sk->state == STATE_LISTEN)
		return sk;
	bpf_sk_release(sk);

	/* The client may have used this very port to talk to the listener itself. */
	t.ipv4.saddr = 0;
	t.ipv4.sport = 0;
	sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return NULL;
	if (sk->state == STATE_LISTEN)
		return sk;
	bpf_sk_release(sk);
	return NULL;
}

/* State of the socket that a received packet of this tuple belongs to; 0: none. */
static __always_inline u32 tuple_state(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_sock *sk;
	u32 state;

	sk = bpf_skc_lookup_tcp(skb, &p->tuple, sizeof(p->tuple.ipv4),
				BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}
