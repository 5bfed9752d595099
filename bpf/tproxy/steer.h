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

static __always_inline struct reply_key key_of(const struct packet *p)
{
	return (struct reply_key){
		.client = p->tuple.ipv4.saddr,
		.server = p->tuple.ipv4.daddr,
		.client_port = p->tuple.ipv4.sport,
		.server_port = p->tuple.ipv4.dport,
	};
}

static __always_inline void remember(struct __sk_buff *skb, const struct packet *p,
				     struct bpf_sock *sk)
{
	struct reply_key key = key_of(p);
	u32 ifindex = sk->bound_dev_if ? skb->ifindex : 0;
	u32 *old = replies.lookup(&key);

	if (!old || *old != ifindex)
		replies.update(&key, &ifindex);
}

static __always_inline bool remembered(const struct packet *p)
{
	struct reply_key key = key_of(p);

	return replies.lookup(&key) != NULL;
}

/* The tuple now belongs to a connection that is not ours. */
static __always_inline void forget(const struct packet *p)
{
	struct reply_key key = key_of(p);

	replies.delete(&key);
}

/* A SYN that meets TIME_WAIT would be given to any listener on the original port,
 * some wildcard server of this host. Without the flag TIME_WAIT only acknowledges;
 * the client resets what it takes for an old connection and sends its SYN again
 * within two ticks (RFC 9293, 3.10.7.3), and then the tuple is free. */
static __always_inline void clear_syn(struct __sk_buff *skb, const struct packet *p)
{
	const u32 at = p->l4 + TCP_FLAGS;
	__be16 old, new;

	if (bpf_skb_load_bytes(skb, at, &old, sizeof(old)))
		return;
	new = old & ~bpf_htons(TCP_SYN);
	bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK, old, new, sizeof(new));
	bpf_skb_store_bytes(skb, at, &new, sizeof(new), 0);
}
