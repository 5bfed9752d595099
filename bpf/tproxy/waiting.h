/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* A SYN that meets TIME_WAIT: the proxy closed first, and the client uses its port again.
 *
 * The listener can't have it: the kernel puts no second socket beside the waiting one. TCP
 * itself would give it to any listener on the original port, some wildcard server of this
 * host. So the SYN is sent in once more, behind a reset that the waiting socket takes
 * (RFC 9293, 3.10.7.4): its sequence number is the one that is waited for. */

#define TCP_SEQ 4

/* The sequence number that a socket in TIME_WAIT waits for, host order. WAITS_FOR: the
 * offset of skc_tw_rcv_nxt in struct tcp_timewait_sock, from the running kernel's BTF. */
static __always_inline bool waits_for(struct __sk_buff *skb, const struct packet *p, u32 *seq)
{
#ifdef WAITS_FOR
	struct bpf_sock *sk = socket_get(skb, &p->key, 0, p->v6);
	void *waiting;

	if (!sk)
		return false;
	waiting = bpf_skc_to_tcp_timewait_sock(sk);
	if (waiting)
		*seq = *(volatile u32 *)(waiting + WAITS_FOR);
	bpf_sk_release(sk);
	return waiting;
#else
	return false;
#endif
}

static __always_inline void change_flags(struct __sk_buff *skb, const struct packet *p,
					 u16 clear, u16 set)
{
	u16 old, new;

	if (bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS, &old, sizeof(old)))
		return;
	new = (old & ~bpf_htons(clear)) | bpf_htons(set);
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, old, new, sizeof(new));
	bpf_skb_store_bytes(skb, p->l4 + TCP_FLAGS, &new, sizeof(new), 0);
}

/* Make this SYN the reset; a copy of it, with `magic` and `flags`, enters by `ifindex`. */
static __always_inline bool reset_waiting(struct __sk_buff *skb, const struct packet *p,
					  u32 ifindex, u32 magic, u32 flags)
{
	u32 seq = 0;
	long failed;

	if (!waits_for(skb, p, &seq))
		return false;
	seq = bpf_htonl(seq);
	skb->cb[CB_MAGIC] = magic;
	skb->cb[CB_FLAGS] = flags;
	failed = bpf_clone_redirect(skb, ifindex, BPF_F_INGRESS);
	skb->cb[CB_MAGIC] = 0;
	if (failed)
		return false;
	change_flags(skb, p, TCP_SYN, TCP_RST);
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, p->seq, seq, sizeof(seq));
	bpf_skb_store_bytes(skb, p->l4 + TCP_SEQ, &seq, sizeof(seq), 0);
	return true;
}

/* Where the kernel tells nothing of its types, or heeds no reset (net.ipv4.tcp_rfc1337,
 * RFC 1337; a timestamp from the past): without its flag TIME_WAIT answers the SYN with
 * an acknowledgement; the client resets what it takes for an old connection, and sends
 * its SYN again (Linux: within two ticks), and then the tuple is free. */
static __always_inline void clear_syn(struct __sk_buff *skb, const struct packet *p)
{
	change_flags(skb, p, TCP_SYN, 0);
}
