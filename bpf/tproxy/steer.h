/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* To the proxy: mark it (the fwmark rule makes it local) and let it enter by lo. */
static __always_inline int to_proxy(struct __sk_buff *skb, const struct config *c, u32 flags)
{
	skb->mark = (skb->mark & ~c->mark_mask) | c->mark;
	skb->cb[CB_MAGIC] = CB_TO_PROXY;
	skb->cb[CB_IFINDEX] = skb->ifindex;
	skb->cb[CB_FLAGS] = flags;
	count(skb, skb->ifindex, OUT_INTERCEPTED);
	return bpf_redirect(c->lo, BPF_F_INGRESS);
}

/* To a client that is bound to a device: let it enter by that device. */
static __always_inline int to_client(struct __sk_buff *skb, u32 ifindex)
{
	skb->cb[CB_MAGIC] = CB_TO_CLIENT;
	count(skb, ifindex, OUT_REPLY);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

static __always_inline void remember_device(struct __sk_buff *skb, const struct packet *p)
{
	struct reply_key key = {
		.client = p->tuple.ipv4.saddr,
		.server = p->tuple.ipv4.daddr,
		.client_port = p->tuple.ipv4.sport,
		.server_port = p->tuple.ipv4.dport,
	};
	u32 ifindex = skb->ifindex;
	u32 *old = replies.lookup(&key);

	if (!old || *old != ifindex)
		replies.update(&key, &ifindex);
}
