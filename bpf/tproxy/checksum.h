/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline u16 fold_checksum(s64 sum)
{
	u64 s = (u32)sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Offsets in the headers. */
#define TCP_CHECK 16
#define UDP_CHECK  6

/* A packet whose checksum is still to be filled in (CHECKSUM_PARTIAL) gets one when it leaves,
 * from the device or, for a device that cannot, from the stack: over all from the old layer-4
 * header on, at the old place, also when the packet is another by then. bpf_l4_csum_replace
 * alone tells these packets from others: it leaves a checksum of theirs as it is. */

/* In a packet whose checksum is complete: make `sum`, not folded yet, the checksum at
 * `offset`, where `held` stands. */
static __always_inline long set_if_complete(struct __sk_buff *skb, u32 offset, u16 held, u32 sum)
{
	s64 diff = bpf_csum_diff(NULL, 0, &sum, sizeof(sum), held);

	return bpf_l4_csum_replace(skb, offset, 0, diff, 0);
}

/* The same: make it 0. */
static __always_inline long clear_if_complete(struct __sk_buff *skb, u32 offset, u16 held)
{
	return bpf_l4_csum_replace(skb, offset, 0, held, 0);
}

struct pseudo_header {
	u32 saddr[4];
	u32 daddr[4];
	u32 length;
	u32 proto;
};

/* Of the answer to `p`. This is the pseudo header of IPv6 (RFC 8200, 8.1). With the words in
 * front of the address 0 it gives the sum of IPv4's: the words add up in any order. */
static __always_inline s64 sum_pseudo_header(const struct packet *p, u32 length, u32 proto)
{
	struct pseudo_header h = {.length = bpf_htonl(length), .proto = bpf_htonl(proto)};

	__builtin_memcpy(h.saddr, p->key.daddr, 16);
	__builtin_memcpy(h.daddr, p->key.saddr, 16);
	if (!p->v6) {
		h.saddr[2] = 0;
		h.daddr[2] = 0;
	}
	return bpf_csum_diff(NULL, 0, (void *)&h, sizeof(h), 0);
}
