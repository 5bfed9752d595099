/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline void set_intercept_mark(struct __sk_buff *skb, const struct config *c)
{
	skb->mark = (skb->mark & ~c->intercept.mask) | c->intercept.value;
}

/* bpf_skb_change_head refuses to put a header in front of a packet that is longer than some
 * 16 000 bytes, unless it is to be segmented anyway. */
#define LONGEST 15000

static __always_inline bool is_too_long(struct __sk_buff *skb, u32 l2)
{
	return l2 == RAW_IP && skb->len > LONGEST && skb->gso_segs <= 1;
}

/* To the proxy: the mark makes the packet local (fwmark rule), and it enters by lo. */
static __always_inline int redirect_to_lo(struct __sk_buff *skb, u32 l2, const struct config *c,
					  u32 flags)
{
	u32 ifindex = skb->ifindex;

	if (l2 == RAW_IP) {
		/* lo is an Ethernet device: it takes the protocol from a header. */
		struct ethhdr eth = {.h_proto = skb->protocol};

		if (bpf_skb_change_head(skb, ETHERNET, 0)
		    || bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
			return TC_ACT_SHOT;
	}
	set_intercept_mark(skb, c);
	write_handover(skb, CB_TO_PROXY, c->lo, ifindex, flags);
	return bpf_redirect(c->lo, BPF_F_INGRESS);
}

/* To a client that is bound to a device: the packet enters by that device. */
static __always_inline int redirect_to_device(struct __sk_buff *skb, u32 ifindex)
{
	write_handover(skb, CB_TO_CLIENT, ifindex, 0, 0);
	count_packet(skb, ifindex, OUT_REPLY);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}
