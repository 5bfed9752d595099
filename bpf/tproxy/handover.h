/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What one of the programs tells the next about a packet that it redirects. skb->cb survives
 * bpf_redirect(BPF_F_INGRESS) and is cleared by nobody on the way, so it says "one of our
 * programs sent this" where a mark could be somebody else's. Others leave things there too
 * (GRO: the low bits of jiffies, in the very word of CB_MAGIC), so that two words must fit,
 * and the second holds what else is so of our packets: which device they enter by. (Not their
 * mark: a filter of somebody else's, in front of ours, may set another.) */
#define CB_MAGIC   0
#define CB_IFINDEX 1
#define CB_FLAGS   2
#define CB_CHECK   3

#define CHECK_WORD 0x70726f78

/* Values of CB_MAGIC. */
#define CB_TO_PROXY  0x6e747001
#define CB_TO_CLIENT 0x6e747002
#define CB_AGAIN     0x6e747003   /* forwarded: met TIME_WAIT, which is reset by now */

/* Bits of CB_FLAGS. */

/* The three-way handshake may still be open: with SYN cookies the proxy has no socket for
 * this tuple yet, and the listener must be given the ACK as well. */
#define CBF_HANDSHAKE 1
/* A datagram: each one is given to the proxy's socket. */
#define CBF_DATAGRAM 2
/* It is the first of its flow. */
#define CBF_NEW 4
/* It met TIME_WAIT, which is reset by now. */
#define CBF_AGAIN 8

/* <linux/if_packet.h> */
#define PKT_HOST 0
#define PKT_OTHERHOST 3

static __always_inline u32 check_word(struct __sk_buff *skb, u32 target)
{
	return CHECK_WORD ^ target ^ skb->cb[CB_IFINDEX] ^ skb->cb[CB_FLAGS];
}

/* For the program on the ingress of `target`. */
static __always_inline void write_handover(struct __sk_buff *skb, u32 magic, u32 target,
					   u32 ifindex, u32 flags)
{
	skb->cb[CB_MAGIC] = magic;
	skb->cb[CB_IFINDEX] = ifindex;
	skb->cb[CB_FLAGS] = flags;
	skb->cb[CB_CHECK] = check_word(skb, target);
}

static __always_inline void clear_handover(struct __sk_buff *skb)
{
	skb->cb[CB_MAGIC] = 0;
	skb->cb[CB_CHECK] = 0;
}

/* Whether one of our programs has sent the packet here with this magic; it is cleared. */
static __always_inline bool take_handover(struct __sk_buff *skb, u32 magic)
{
	if (skb->cb[CB_MAGIC] != magic || skb->cb[CB_CHECK] != check_word(skb, skb->ifindex))
		return false;
	clear_handover(skb);
	return true;
}

/* Whether this is an answer to a client of this host, which one of our programs sends in by
 * this device. Then it is given to the stack as a packet for this host. */
static __always_inline bool take_own_answer(struct __sk_buff *skb)
{
	if (!take_handover(skb, CB_TO_CLIENT))
		return false;
	bpf_skb_change_type(skb, PKT_HOST);
	return true;
}
