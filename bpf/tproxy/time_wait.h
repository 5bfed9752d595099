/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* A SYN that meets TIME_WAIT: the proxy closed first, and the client uses its port again.
 *
 * The listener cannot have it: the kernel puts no second socket beside the one in TIME_WAIT.
 * TCP by itself would give the SYN to any listener on the original port, some wildcard server
 * of this host. So the SYN is sent in once more, behind a reset which the socket in TIME_WAIT
 * accepts (RFC 9293, 3.10.7.4) because its sequence number is the one that it waits for. */

/* Offsets in the TCP header. The flags are the low byte of their 16 bits. */
#define TCP_SEQ    4
#define TCP_FLAGS 12
#define TCP_SYN   0x0002
#define TCP_RST   0x0004

/* The sequence number that a socket in TIME_WAIT waits for, in host order. WAITS_FOR: the
 * offset of skc_tw_rcv_nxt in struct tcp_timewait_sock, from the running kernel's BTF. */
static __always_inline bool read_awaited_seq(struct __sk_buff *skb, const struct packet *p,
					     u32 *seq)
{
#ifdef WAITS_FOR
	struct bpf_sock *sk = lookup_socket(skb, &p->key, 0, p->v6);
	void *time_wait;

	if (!sk)
		return false;
	time_wait = bpf_skc_to_tcp_timewait_sock(sk);
	if (time_wait)
		*seq = *(volatile u32 *)(time_wait + WAITS_FOR);
	bpf_sk_release(sk);
	return time_wait;
#else
	return false;
#endif
}

static __always_inline void rewrite_flags(struct __sk_buff *skb, const struct packet *p,
					  u16 clear, u16 set)
{
	u16 old, new;

	if (bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS, &old, sizeof(old)))
		return;
	new = (old & ~bpf_htons(clear)) | bpf_htons(set);
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, old, new, sizeof(new));
	bpf_skb_store_bytes(skb, p->l4 + TCP_FLAGS, &new, sizeof(new), 0);
}

/* Make this SYN the reset; a copy of it enters by `target`, with what else is to be known. */
static __always_inline bool reset_time_wait(struct __sk_buff *skb, const struct packet *p,
					    u32 magic, u32 target, u32 ifindex, u32 flags)
{
	u32 seq = 0;
	long failed;

	if (!read_awaited_seq(skb, p, &seq))
		return false;
	seq = bpf_htonl(seq);
	write_handover(skb, magic, target, ifindex, flags);
	failed = bpf_clone_redirect(skb, target, BPF_F_INGRESS);
	clear_handover(skb);
	if (failed)
		return false;
	rewrite_flags(skb, p, TCP_SYN, TCP_RST);
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, p->seq, seq, sizeof(seq));
	bpf_skb_store_bytes(skb, p->l4 + TCP_SEQ, &seq, sizeof(seq), 0);
	return true;
}

/* Where the number cannot be read (no BTF, Linux < 5.9), or the kernel heeds no reset there
 * (net.ipv4.tcp_rfc1337, RFC 1337; a timestamp from the past). Without its flag the SYN is
 * answered with an acknowledgement; the client resets what it takes for an old connection
 * and sends its SYN again (Linux: within two ticks), and the tuple is free then. */
static __always_inline void clear_syn(struct __sk_buff *skb, const struct packet *p)
{
	rewrite_flags(skb, p, TCP_SYN, 0);
}
