/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The socket that a received packet with this key belongs to, referenced. */
static __always_inline struct bpf_sock *
socket_get(struct __sk_buff *skb, const struct flow_key *k, u32 udp, u32 v6)
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

/* Its state; 0: there is none. */
static __always_inline u32 socket_state(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = socket_get(skb, &p->key, 0, p->v6);
	u32 state;

	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}

/* The proxy's listening socket, referenced; release it. The client's address
 * and port go into the lookup because SO_REUSEPORT groups hash over them. */
static __always_inline struct bpf_sock *
listener_get(struct __sk_buff *skb, const struct packet *p, const struct config *c)
{
	u32 udp = p->key.proto == IPPROTO_UDP;
	const struct listener *l = &c->listeners[udp * 2 + !!p->v6];
	struct flow_key k = p->key;
	struct bpf_sock *sk;

	__builtin_memcpy(k.daddr, l->addr, 16);
	k.dport = l->port;
	sk = socket_get(skb, &k, udp, p->v6);
	if (!sk)
		return NULL;
	if (udp || sk->state == STATE_LISTEN)
		return sk;
	bpf_sk_release(sk);

	/* The client may have used this very port to talk to the listener itself. */
	__builtin_memset(k.saddr, 0, 16);
	k.sport = 0;
	sk = socket_get(skb, &k, 0, p->v6);
	if (!sk)
		return NULL;
	if (sk->state == STATE_LISTEN)
		return sk;
	bpf_sk_release(sk);
	return NULL;
}

static __always_inline bool has_listener(struct __sk_buff *skb, const struct packet *p,
					 const struct config *c)
{
	struct bpf_sock *sk = listener_get(skb, p, c);

	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* Give the packet to the proxy: OUT_NEW, to the listener; OUT_INTERCEPTED, to a socket
 * that the proxy has connected to this client; else why not. A datagram socket that is
 * only bound there is passed over: proxies make those to send replies from (so does
 * nft_tproxy). */
static __always_inline u32 assign(struct __sk_buff *skb, const struct packet *p,
				  const struct config *c)
{
	struct bpf_sock *sk = NULL;
	u32 what = OUT_INTERCEPTED;

	if (p->key.proto == IPPROTO_UDP) {
		sk = socket_get(skb, &p->key, 1, p->v6);
		if (sk && sk->state != STATE_ESTABLISHED) {
			bpf_sk_release(sk);
			sk = NULL;
		}
	}
	if (!sk) {
		what = OUT_NEW;
		sk = listener_get(skb, p, c);
		if (!sk)
			return OUT_NO_LISTENER;
	}
	if (bpf_sk_assign(skb, sk, 0))
		what = OUT_ASSIGN_FAILED;
	bpf_sk_release(sk);
	return what;
}
