/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Answer in the far end's name that nobody is there, or that a packet is too long. The stack
 * cannot do it: its own answer would need a source address that is not local.
 *
 * The skb may be a clone of the one in the client's retransmit queue; the helpers that are
 * used here copy the header before they write. */

/* `mtu`: what may be sent at most, where a packet is too long; 0: it is refused. `leaves`: the
 * answer goes out by a device; it is then no word about the length. */
static __always_inline long write_answer(struct __sk_buff *skb, const struct packet *p, u32 mtu,
					 bool leaves)
{
	if (p->key.proto == IPPROTO_TCP && !mtu)
		return write_reset(skb, p, leaves);
	return p->v6 ? write_icmp_error_ipv6(skb, p, mtu, leaves)
		     : write_icmp_error_ipv4(skb, p, mtu);
}

/* To a socket of this host: the answer enters by the device that the packet was leaving by. */
static __always_inline int answer_local(struct __sk_buff *skb, const struct packet *p, u32 mtu)
{
	if (write_answer(skb, p, mtu, false))
		return TC_ACT_SHOT;
	write_handover(skb, CB_TO_CLIENT, skb->ifindex, 0, 0);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* To a machine behind the device: the answer leaves by it. */
static __always_inline int answer_behind(struct __sk_buff *skb, const struct packet *p)
{
	u8 macs[12], swapped[12];

	if (write_answer(skb, p, 0, true))
		return TC_ACT_SHOT;
	if (skb->vlan_present)
		bpf_skb_vlan_pop(skb);   /* a priority: the kernel answers without */
	if (p->l2 == ETHERNET && !bpf_skb_load_bytes(skb, 0, macs, 12)) {
		__builtin_memcpy(swapped, macs + 6, 6);
		__builtin_memcpy(swapped + 6, macs, 6);
		bpf_skb_store_bytes(skb, 0, swapped, 12, 0);
	}
	return bpf_redirect(skb->ifindex, 0);
}
