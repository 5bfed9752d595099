/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Somebody outside sends a datagram to a socket of this host: what the socket answers is no
 * flow of ours. */
static __always_inline void remember_visitor(struct __sk_buff *skb, struct packet *p)
{
	struct flow_key answer = {};
	struct bpf_sock *sk;
	u32 one = 1;

	if (p->key.proto != IPPROTO_UDP || p->fragment == LATER_FRAGMENT)
		return;
	if (p->l2 == ETHERNET && skb->pkt_type == PKT_OTHERHOST)
		return;   /* seen in passing: for another machine, or a macvlan */
	reverse_key(&answer, &p->key);
	/* Not while the flow has a verdict: a forged answer would set it free. */
	if (tracked.lookup(&answer) || inbound.lookup(&answer))
		return;
	sk = lookup_socket(skb, &p->key, 1, p->v6);
	if (!sk)
		return;
	bpf_sk_release(sk);
	inbound.update(&answer, &one);
}

static __always_inline bool is_answer_to_visitor(struct packet *p)
{
	return inbound.lookup(&p->key) != NULL;
}

/* What the proxy sends to a client behind this very interface. */
static __always_inline bool is_answer_to_client_behind(const struct packet *p)
{
	struct flow_key client = {};

	reverse_key(&client, &p->key);
	return tracked.lookup(&client) != NULL;
}
