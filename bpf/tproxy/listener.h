/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The proxy's listening socket, referenced: release it. The client's address and port go
 * into the lookup, because SO_REUSEPORT groups hash over them. */
static __always_inline struct bpf_sock *
lookup_listener(struct __sk_buff *skb, const struct packet *p, const struct config *c)
{
	u32 udp = p->key.proto == IPPROTO_UDP;
	const struct listener *l = &c->listeners[udp * 2 + !!p->v6];
	struct flow_key k = p->key;
	struct bpf_sock *sk;

	__builtin_memcpy(k.daddr, l->addr, 16);
	k.dport = l->port;
	sk = lookup_socket(skb, &k, udp, p->v6);
	if (!sk)
		return NULL;
	if (udp || sk->state == BPF_TCP_LISTEN)
		return sk;
	bpf_sk_release(sk);

	/* The client may have a connection from this very port to the listener itself. */
	__builtin_memset(k.saddr, 0, 16);
	k.sport = 0;
	sk = lookup_socket(skb, &k, 0, p->v6);
	if (!sk)
		return NULL;
	if (sk->state == BPF_TCP_LISTEN)
		return sk;
	bpf_sk_release(sk);
	return NULL;
}

enum listening { NOBODY_LISTENS = 0, PROXY_LISTENS, OTHER_LISTENS };

/* OTHER_LISTENS: on the proxy's address and port there is a socket that may not have what was
 * sent to others. */
static __always_inline enum listening who_listens(struct __sk_buff *skb, const struct packet *p,
						  const struct config *c)
{
	struct bpf_sock *sk = lookup_listener(skb, p, c);
	bool transparent;

	if (!sk)
		return NOBODY_LISTENS;
	transparent = is_transparent(sk);
	bpf_sk_release(sk);
	return transparent ? PROXY_LISTENS : OTHER_LISTENS;
}

/* The datagram socket, referenced, that the proxy has connected to this client. One that is
 * only bound to the original destination is passed over: proxies make those to send replies
 * from (nft_tproxy passes them over too). Anybody can bind there with IP_FREEBIND. */
static __always_inline struct bpf_sock *
lookup_connected(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = lookup_socket(skb, &p->key, 1, p->v6);

	if (!sk)
		return NULL;
	if (sk->state == BPF_TCP_ESTABLISHED && is_transparent(sk))
		return sk;
	bpf_sk_release(sk);
	return NULL;
}

/* Give the packet to a socket of the proxy's. Returns OUT_NEW: to the listener;
 * OUT_INTERCEPTED: to a datagram socket that the proxy has connected to this client; else
 * why it was not given. */
static __always_inline u32 assign_to_proxy(struct __sk_buff *skb, const struct packet *p,
					   const struct config *c)
{
	struct bpf_sock *sk = NULL;
	u32 outcome = OUT_INTERCEPTED;

	if (p->key.proto == IPPROTO_UDP)
		sk = lookup_connected(skb, p);
	if (!sk) {
		outcome = OUT_NEW;
		sk = lookup_listener(skb, p, c);
		if (!sk)
			return OUT_NO_LISTENER;
		if (!is_transparent(sk)) {
			bpf_sk_release(sk);
			return OUT_NO_LISTENER;
		}
	}
	if (bpf_sk_assign(skb, sk, 0))
		outcome = OUT_ASSIGN_FAILED;
	bpf_sk_release(sk);
	return outcome;
}
