/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* <linux/if_packet.h> */
#define PKT_BROADCAST 1
#define PKT_MULTICAST 2

/* To all of a link, or to all members of a group. A subnet's broadcast address is known by
 * the frame's alone. */
static __always_inline bool is_to_group(struct __sk_buff *skb, const struct packet *p)
{
	if (p->l2 == ETHERNET
	    && (skb->pkt_type == PKT_BROADCAST || skb->pkt_type == PKT_MULTICAST))
		return true;
	if (p->v6)
		return bpf_ntohl(p->key.daddr[0]) >> 24 == 0xff;
	return bpf_ntohl(p->key.daddr[3]) >= 0xe0000000;
}

/* Who asks a group (SSDP, mDNS, NetBIOS) is answered from an address of this host's own, and
 * its socket chooses which: 0 stands for any of them. */
static __always_inline void clear_source(struct flow_key *k)
{
	__builtin_memset(k->saddr, 0, 16);
}

/* Somebody outside sends a datagram to a socket of this host: what the socket answers is no
 * flow of ours. */
static __always_inline void remember_visitor(struct __sk_buff *skb, struct packet *p)
{
	struct flow_key answer = {};
	struct flow_verdict *kept;
	struct bpf_sock *sk;
	u32 now, *asked;

	if (p->key.proto != IPPROTO_UDP || p->shape == LATER_FRAGMENT || p->shape == UNREADABLE)
		return;
	if (p->l2 == ETHERNET && skb->pkt_type == PKT_OTHERHOST)
		return;   /* seen in passing: for another machine, or a macvlan */
	reverse_key(&answer, &p->key);
	if (is_to_group(skb, p))
		clear_source(&answer);
	/* Not where the flow has a verdict, however old: a forged answer would set it free. */
	kept = tracked.lookup(&answer);
	if (kept && !kept->doubtful)
		return;
	asked = inbound.lookup(&answer);
	now = read_clock();
	if (asked && *asked == now)
		return;
	sk = lookup_socket(skb, &p->key, 1, p->v6);
	if (!sk)
		return;
	bpf_sk_release(sk);
	if (asked)
		*asked = now;
	else
		inbound.update(&answer, &now);
	if (kept)
		tracked.delete(&answer);
}

/* A socket that never answers is no service: who it speaks to after a while it asks. Its port
 * may have been another's when the visitor came, and what came may be forged. */
static __always_inline bool is_answered(const u32 *asked, struct bpf_sock *sk)
{
	return asked && (!sk || serves_visitors(sk) || read_clock() - *asked <= LIFE_ALONE);
}

static __always_inline bool is_answer_to_visitor(struct packet *p, struct bpf_sock *sk)
{
	return is_answered(inbound.lookup(&p->key), sk);
}

/* Asked of a flow that has no verdict: a question does not set free one that has. */
static __always_inline bool is_answer_to_group_question(const struct packet *p,
							struct bpf_sock *sk)
{
	struct flow_key answer = p->key;

	clear_source(&answer);
	return is_answered(inbound.lookup(&answer), sk);
}

/* What the proxy sends to a client behind this very interface. */
static __always_inline bool is_answer_to_client_behind(const struct packet *p)
{
	struct flow_key client = {};

	reverse_key(&client, &p->key);
	return tracked.lookup(&client) != NULL;
}
