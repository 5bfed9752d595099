/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* How to reply to this host's own clients: which of them are bound to a device, and to which. */

static __always_inline void forget_client(struct packet *p)
{
	replies.delete(&p->key);
	if (p->key.proto == IPPROTO_TCP)
		forget_recent(&p->key);
}

/* A connection that goes out directly has the tuple now. The proxy may still have a socket of
 * the one before it, in TIME_WAIT as a rule: what is sent without a full socket must not be
 * judged by that one. */
static __always_inline void remember_outgoing(struct __sk_buff *skb, struct packet *p)
{
	u32 goes_out = GOES_OUT;

	if (has_connection(skb, p))
		replies.update(&p->key, &goes_out);
}

/* Where the device has changed, the proxy's socket may still have the old one: a client can
 * be bound while it is connected. */
static __always_inline void remember_bound_client(struct __sk_buff *skb, struct packet *p)
{
	u32 *old = p->syn ? NULL : replies.lookup(&p->key), ifindex = skb->ifindex;
	struct bpf_sock *sk;

	if (old && *old == ifindex)
		return;
	replies.update(&p->key, &ifindex);
	if (p->key.proto != IPPROTO_TCP)
		return;
	forget_recent(&p->key);
	if (p->syn)
		return;
	sk = lookup_socket(skb, &p->key, 0, p->v6);
	if (!sk)
		return;
	flows.sk_storage_delete(sk);
	bpf_sk_release(sk);
}

/* At the beginning and at the end of a connection. */
static __always_inline void remember_unbound_client(struct packet *p)
{
	remember_recent(&p->key);
	if (p->syn && replies.lookup(&p->key))
		replies.delete(&p->key);   /* one that was bound had the tuple before */
}
