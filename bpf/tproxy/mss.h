/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* A client's SYN names the segment that fits its interface (RFC 9293, 3.7.1), but nothing of an
 * intercepted connection leaves by it: the proxy's segments may be as long as those of any
 * connection over lo. What the client itself sends stays as its route has it. */

#define TCP_OPTIONS 20
#define OPTION_MSS   2
#define WIDEST      65535
#define NARROW       1220   /* less than any interface has (RFC 8200, 5): asked for on purpose */

static __always_inline void widen(struct __sk_buff *skb, const struct packet *p)
{
	struct { u8 kind, length; u16 mss; } option;
	u16 widest = bpf_htons(WIDEST - sizeof(struct tcphdr)
			       - (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)));

	/* Linux puts it first. */
	if (!p->options || bpf_skb_load_bytes(skb, p->l4 + TCP_OPTIONS, &option, sizeof(option))
	    || option.kind != OPTION_MSS || option.length != sizeof(option)
	    || bpf_ntohs(option.mss) < NARROW)
		return;
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, option.mss, widest, sizeof(widest));
	bpf_skb_store_bytes(skb, p->l4 + TCP_OPTIONS + 2, &widest, sizeof(widest), 0);
}
