/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline bool never_intercepted(u32 daddr)
{
	u32 a = bpf_ntohl(daddr);

	return a >> 24 == 0                    /* "this" network, RFC 1122 */
	    || a >> 24 == 127                  /* loopback */
	    || a >> 16 == 0xa9fe               /* link-local, RFC 3927 */
	    || a >= 0xe0000000;                /* multicast, reserved, broadcast */
}

/* Asked once per connection, at its first packet. */
static __always_inline u32 decide(struct __sk_buff *skb, const struct packet *p,
				  const struct config *c)
{
	if (!c->tcp4.enabled)
		return OUT_OTHER_PROTOCOL;
	if ((skb->mark & c->bypass_mask) == c->bypass)
		return OUT_BYPASS_MARK;
	if (never_intercepted(p->tuple.ipv4.daddr))
		return OUT_BYPASS_ADDRESS;
	return OUT_INTERCEPTED;
}
