/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Offsets in the IP headers. */
#define IP_LENGTH   2
#define IP_TTL      8
#define IP_CHECK   10
#define IP_ENDS    12
#define IP6_LENGTH  4
#define IP6_ENDS    8

/* Turn the IP header of `p` into that of its answer, options and all, where it stands; the
 * answer has `length` bytes behind it. (bpf_skb_change_tail cuts nothing off in front of a
 * checksum that is still to be filled in, so the headers cannot get shorter.) */
static __always_inline long reverse_ip_header(struct __sk_buff *skb, const struct packet *p,
					   u32 length, u8 proto)
{
	struct { u32 saddr[4], daddr[4]; } ends6;
	struct { u32 saddr, daddr; } ends = {p->key.daddr[3], p->key.saddr[3]};
	struct { u8 ttl, proto; } old, new;
	u16 old_length, new_length = bpf_htons(length + p->l4 - p->l2);

	if (p->v6) {
		new_length = bpf_htons(length + p->l4 - p->l2 - sizeof(struct ipv6hdr));
		__builtin_memcpy(ends6.saddr, p->key.daddr, 16);
		__builtin_memcpy(ends6.daddr, p->key.saddr, 16);
		return bpf_skb_store_bytes(skb, p->l2 + IP6_LENGTH, &new_length, 2, 0)
		    || bpf_skb_store_bytes(skb, p->l2 + IP6_ENDS, &ends6, sizeof(ends6), 0);
	}
	if (bpf_skb_load_bytes(skb, p->l2 + IP_LENGTH, &old_length, 2)
	    || bpf_skb_load_bytes(skb, p->l2 + IP_TTL, &old, 2))
		return 1;
	new.ttl = old.ttl;
	new.proto = proto;
	/* Swapped addresses leave the checksum as it is. */
	return bpf_l3_csum_replace(skb, p->l2 + IP_CHECK, old_length, new_length, 2)
	    || bpf_l3_csum_replace(skb, p->l2 + IP_CHECK, *(u16 *)&old, *(u16 *)&new, 2)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_LENGTH, &new_length, 2, 0)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_TTL, &new, 2, 0)
	    || bpf_skb_store_bytes(skb, p->l2 + IP_ENDS, &ends, sizeof(ends), 0);
}
