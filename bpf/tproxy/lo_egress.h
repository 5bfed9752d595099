/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The egress of lo: what the proxy sends back goes to the client's device, if the client is
 * bound to one. */

#define MUCH 8   /* segments */

/* What the proxy's socket knows of its client from now on, whatever the tables forget. */
static __always_inline void remember_client_in_socket(struct bpf_sock *sk, const struct packet *p,
						      u32 verdict, u32 ifindex)
{
	struct socket_verdict *kept;

	if (!sk || p->key.proto != IPPROTO_TCP || sk->src_port != bpf_ntohs(p->key.sport)
	    || sk->state == BPF_TCP_LISTEN)
		return;
	kept = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept && !kept->verdict) {
		kept->verdict = verdict;
		kept->ifindex = ifindex;
	}
}

/* Whether it is worth memory to remember that there is nothing to do. */
static __always_inline bool has_sent_much(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && tp->segs_out >= MUCH;
}

/* `kept`: what the socket knows of its client; NULL: nothing yet. */
static __always_inline int redirect_reply(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct socket_verdict *kept)
{
	struct packet p = {};
	struct flow_key client = {};
	u32 *ifindex;

	if (parse_packet(skb, ETHERNET, &p) != GO_ON || p.shape != WHOLE)
		return TC_ACT_UNSPEC;
	if (!p.v6 && (p.key.saddr[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000))
		return TC_ACT_UNSPEC;   /* nobody's original destination */
	if (kept && kept->verdict == VERDICT_REPLY_TO_DEVICE && p.key.proto == IPPROTO_TCP)
		return redirect_to_device(skb, kept->ifindex);
	reverse_key(&client, &p.key);
	if (p.key.proto == IPPROTO_UDP)
		confirm_flow(&client);
	if (p.key.proto == IPPROTO_TCP && was_intercepted_of_late(&client)) {
		if (sk && has_sent_much(sk))
			remember_client_in_socket(sk, &p, VERDICT_REPLY_ON_LO, 0);
		return TC_ACT_UNSPEC;
	}
	ifindex = replies.lookup(&client);
	if (!ifindex || *ifindex == GOES_OUT)
		return TC_ACT_UNSPEC;
	remember_client_in_socket(sk, &p, VERDICT_REPLY_TO_DEVICE, *ifindex);
	return redirect_to_device(skb, *ifindex);
}

static __always_inline int return_to_client(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_verdict *kept = NULL;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk)
		kept = flows.sk_storage_get(sk, 0, 0);
	if (kept && kept->verdict == VERDICT_REPLY_ON_LO)
		return TC_ACT_UNSPEC;
	return redirect_reply(skb, sk, kept);
}
