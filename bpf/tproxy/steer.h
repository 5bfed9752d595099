/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

static __always_inline void set_mark(struct __sk_buff *skb, const struct config *c)
{
	skb->mark = (skb->mark & ~c->intercept.mask) | c->intercept.value;
}

/* To the proxy: mark it (the fwmark rule makes it local) and let it enter by lo. */
static __always_inline int to_proxy(struct __sk_buff *skb, u32 l2, const struct config *c,
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
	set_mark(skb, c);
	skb->cb[CB_MAGIC] = CB_TO_PROXY;
	skb->cb[CB_IFINDEX] = ifindex;
	skb->cb[CB_FLAGS] = flags;
	return bpf_redirect(c->lo, BPF_F_INGRESS);
}

/* To a client that is bound to a device: let it enter by that device. */
static __always_inline int to_client(struct __sk_buff *skb, u32 ifindex)
{
	skb->cb[CB_MAGIC] = CB_TO_CLIENT;
	count(skb, ifindex, OUT_REPLY);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

static __always_inline void turn(struct flow_key *to, const struct flow_key *from)
{
	__builtin_memcpy(to->saddr, from->daddr, 16);
	__builtin_memcpy(to->daddr, from->saddr, 16);
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
}

static __always_inline void fragment_key(struct fragment_key *to, const struct packet *p)
{
	__builtin_memcpy(to->saddr, p->key.saddr, 16);
	__builtin_memcpy(to->daddr, p->key.daddr, 16);
	to->id = p->fragment_id;
	to->proto = p->v6 ? 0 : p->key.proto;   /* RFC 8200, 4.5; RFC 791, 3.2 */
}

/* Whether this is an answer that our own programs send in by this device. */
static __always_inline bool from_us(struct __sk_buff *skb)
{
	if (skb->cb[CB_MAGIC] != CB_TO_CLIENT)
		return false;
	skb->cb[CB_MAGIC] = 0;
	bpf_skb_change_type(skb, PKT_HOST);
	return true;
}
