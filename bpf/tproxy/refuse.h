/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Answer in the far end's name that nobody is there. The stack cannot do it: its own answer
 * would need a source address that is not local.
 *
 * The skb may be a clone of the one in the client's retransmit queue; the helpers that are
 * used here copy the header before they write. */

/* `local`: the client is a socket of this host, and the answer enters by the device
 * it was leaving by; else the client is behind the device, and the answer leaves. */
static __always_inline int answer_refused(struct __sk_buff *skb, const struct packet *p, bool local)
{
	u8 macs[12], swapped[12];
	long err;

	if (p->key.proto == IPPROTO_TCP)
		err = write_reset(skb, p);
	else
		err = p->v6 ? write_unreachable_ipv6(skb, p) : write_unreachable_ipv4(skb, p);
	if (err)
		return TC_ACT_SHOT;
	if (local) {
		skb->cb[CB_MAGIC] = CB_TO_CLIENT;
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	}
	if (skb->vlan_present)
		bpf_skb_vlan_pop(skb);   /* a priority: the kernel answers without */
	if (p->l2 == ETHERNET && !bpf_skb_load_bytes(skb, 0, macs, 12)) {
		__builtin_memcpy(swapped, macs + 6, 6);
		__builtin_memcpy(swapped + 6, macs, 6);
		bpf_skb_store_bytes(skb, 0, swapped, 12, 0);
	}
	return bpf_redirect(skb->ifindex, 0);
}
