/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A connection of this host, on its way out of an intercepted interface:
 *
 *   client ─► wan_egress ─► lo_ingress ─► proxy's listener
 *   client ◄─ wan_ingress ◄─ lo_egress ◄─ proxy      (client bound to the device)
 *   client ◄──────────────── lo        ◄─ proxy      (any other client)
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include "tproxy/consts.h"
#include "tproxy/maps.h"
#include "tproxy/count.h"
#include "tproxy/parse.h"
#include "tproxy/policy.h"
#include "tproxy/listener.h"
#include "tproxy/refuse.h"
#include "tproxy/steer.h"

static __always_inline int open_flow(struct __sk_buff *skb, struct packet *p,
				     const struct config *c, struct bpf_sock *sk)
{
	struct flow fresh = {
		.daddr = p->tuple.ipv4.daddr,
		.dport = p->tuple.ipv4.dport,
	};
	struct flow *flow = flows.sk_storage_get(sk, 0, 0);
	struct bpf_sock *listener;
	u32 why = OUT_INTERCEPTED;

	/* A SYN with a verdict is sent again, unless the socket now goes elsewhere. */
	if (!flow || flow->daddr != fresh.daddr || flow->dport != fresh.dport) {
		why = decide(skb, p, c);
		fresh.verdict = why == OUT_INTERCEPTED ? VERDICT_INTERCEPT : VERDICT_BYPASS;
		if (!flow)
			flow = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!flow)
			return drop(skb, skb->ifindex, OUT_NO_MEMORY);
		*flow = fresh;
	}
	if (flow->verdict != VERDICT_INTERCEPT) {
		forget(p);
		return pass(skb, why == OUT_INTERCEPTED ? OUT_UNTRACKED : why);
	}

	listener = listener_get(skb, p, c);
	if (!listener)
		return refuse(skb, p);
	bpf_sk_release(listener);
	remember(skb, p, sk);
	return to_proxy(skb, c, CBF_HANDSHAKE);
}

int wan_egress(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct config *c = config.lookup(&zero);
	struct packet p = {};
	struct bpf_sock *sk;
	struct bpf_tcp_sock *tp;
	struct flow *flow;
	u32 why, state, flags = 0;

	if (!c)
		return pass(skb, OUT_UNCONFIGURED);
	if (skb->ingress_ifindex)
		return pass(skb, OUT_FORWARDED);
	why = parse(skb, &p);
	if (why != OUT_INTERCEPTED)
		return pass(skb, why);

	sk = skb->sk;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	/* Resets and TIME_WAIT acknowledgements leave through a control socket of
	 * the kernel (before 6.13), which is full but has no port of its own. */
	if (!sk || sk->protocol != IPPROTO_TCP || sk->src_port != bpf_ntohs(p.tuple.ipv4.sport)) {
		state = tuple_state(skb, &p);
		if (state && state != STATE_LISTEN)
			return to_proxy(skb, c, 0);
		/* An inbound connection has taken over the tuple. */
		if (p.syn_ack)
			forget(&p);
		/* Both ends may be gone while something was still on its way. */
		if (!remembered(&p))
			return pass(skb, OUT_UNTRACKED);
		return to_proxy(skb, c, 0);
	}
	if (p.syn)
		return open_flow(skb, &p, c, sk);

	flow = flows.sk_storage_get(sk, 0, 0);
	if (!flow)
		return pass(skb, OUT_UNTRACKED);
	if (flow->verdict != VERDICT_INTERCEPT)
		return pass(skb, OUT_UNTRACKED);
	remember(skb, &p, sk);
	tp = bpf_tcp_sock(sk);
	/* The SYN counts as one acknowledged byte. */
	if (tp && tp->bytes_acked <= 1 && !tp->bytes_received)
		flags = CBF_HANDSHAKE;
	return to_proxy(skb, c, flags);
}

int lo_ingress(struct __sk_buff *skb)
{
	u32 zero = 0, ifindex, flags, state;
	struct config *c;
	struct packet p = {};
	struct bpf_sock *listener;
	long err;

	if (skb->cb[CB_MAGIC] != CB_TO_PROXY)
		return TC_ACT_UNSPEC;
	ifindex = skb->cb[CB_IFINDEX];
	flags = skb->cb[CB_FLAGS];
	skb->cb[CB_MAGIC] = 0;
	/* The frame carries the gateway's address, so eth_type_trans() made it
	 * PACKET_OTHERHOST, which the IP layer drops. */
	bpf_skb_change_type(skb, PKT_HOST);
	if (!(flags & CBF_HANDSHAKE))
		return TC_ACT_OK;

	c = config.lookup(&zero);
	if (!c || parse(skb, &p) != OUT_INTERCEPTED)
		return drop(skb, ifindex, OUT_MALFORMED);
	state = tuple_state(skb, &p);
	if (state == STATE_TIME_WAIT && p.syn) {
		count(skb, ifindex, OUT_TIME_WAIT);
		clear_syn(skb, &p);
		return TC_ACT_OK;
	}
	/* The tuple has a socket: TCP finds it by itself. A listener that the tuple
	 * finds is some wildcard server of this host, not the proxy. */
	if (state && state != STATE_LISTEN)
		return TC_ACT_OK;
	listener = listener_get(skb, &p, c);
	if (!listener)
		return drop(skb, ifindex, OUT_NO_LISTENER);
	err = bpf_sk_assign(skb, listener, 0);
	bpf_sk_release(listener);
	if (err)
		return drop(skb, ifindex, OUT_ASSIGN_FAILED);
	if (p.syn)
		count(skb, ifindex, OUT_NEW);
	return TC_ACT_OK;
}

int lo_egress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct reply_key key;
	struct flow *flow, fresh = {.verdict = VERDICT_REPLY};
	struct bpf_sock *sk;
	u32 *ifindex;

	if (parse(skb, &p) != OUT_INTERCEPTED)
		return TC_ACT_UNSPEC;
	if ((p.tuple.ipv4.saddr & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000))
		return TC_ACT_UNSPEC;
	sk = skb->sk;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk) {
		flow = flows.sk_storage_get(sk, 0, 0);
		if (flow && flow->verdict == VERDICT_REPLY)
			return to_client(skb, flow->ifindex);
	}
	key = (struct reply_key){
		.client = p.tuple.ipv4.daddr,
		.server = p.tuple.ipv4.saddr,
		.client_port = p.tuple.ipv4.dport,
		.server_port = p.tuple.ipv4.sport,
	};
	ifindex = replies.lookup(&key);
	if (!ifindex || !*ifindex)
		return TC_ACT_UNSPEC;
	fresh.ifindex = *ifindex;
	/* From here on the proxy's own socket remembers it, whatever the table evicts. */
	if (sk && sk->src_port == bpf_ntohs(p.tuple.ipv4.sport) && sk->state != STATE_LISTEN) {
		flow = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (flow && !flow->verdict)
			*flow = fresh;
	}
	return to_client(skb, fresh.ifindex);
}

int wan_ingress(struct __sk_buff *skb)
{
	if (skb->cb[CB_MAGIC] != CB_TO_CLIENT)
		return TC_ACT_UNSPEC;
	skb->cb[CB_MAGIC] = 0;
	bpf_skb_change_type(skb, PKT_HOST);
	return TC_ACT_OK;
}
