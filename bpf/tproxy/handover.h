/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What one of the programs tells the next about a packet that it redirects. skb->cb survives
 * bpf_redirect(BPF_F_INGRESS) and is cleared by nobody on the way, so it says "one of our
 * programs sent this" where a mark could be somebody else's. */
#define CB_MAGIC   0
#define CB_IFINDEX 1
#define CB_FLAGS   2

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

/* Whether this is an answer to a client of this host, which one of our programs sends in by
 * this device. Then it is given to the stack as a packet for this host. */
static __always_inline bool take_own_answer(struct __sk_buff *skb)
{
	if (skb->cb[CB_MAGIC] != CB_TO_CLIENT)
		return false;
	skb->cb[CB_MAGIC] = 0;
	bpf_skb_change_type(skb, PKT_HOST);
	return true;
}
