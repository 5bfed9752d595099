/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What is remembered of a packet's flow. The functions return what becomes of the packet, or
 * GO_ON: it is the first of a flow, and the policy must be asked. */

struct flow_info {
	u32 flags;       /* CBF_*: what lo_ingress must know; 0: TCP finds the proxy's socket */
	u32 epoch;       /* of the configuration */
	u32 owner;       /* the local UDP socket, as `tracked` has it; 0: not of this host */
	bool doubtful;        /* its socket serves others: it may be a visitor's */
	bool other_listens;   /* where the proxy should, and is not transparent */
};

/* What stands above the verdict in `tracked`. A socket's cookie is never given out again, as
 * its port is: the next socket with the same tuple gets a verdict of its own. */
static __always_inline u32 read_owner(struct __sk_buff *skb)
{
	return (u32)bpf_get_socket_cookie(skb) * (VERDICT_MASK + 1);
}

/* The verdict on this tuple and this socket; 0: there is none. */
static __always_inline u32 lookup_verdict(struct packet *p, const struct flow_info *f)
{
	struct flow_verdict *kept = tracked.lookup(&p->key);

	if (!kept || (kept->entry & ~VERDICT_MASK) != f->owner)
		return 0;
	if (p->key.proto == IPPROTO_UDP && is_flow_over(kept, f->epoch))
		return 0;
	return kept->entry & VERDICT_MASK;
}

/* Once refused, a flow is intercepted as soon as somebody listens. */
static __always_inline u32 verdict_for(u32 fate)
{
	return fate == TO_PROXY || fate == ANSWERED ? VERDICT_INTERCEPT : VERDICT_BYPASS;
}

static __always_inline void remember_verdict(const struct packet *p, const struct flow_info *f,
					     u32 fate)
{
	u32 now = read_clock();
	struct flow_verdict kept = {
		.entry = verdict_for(fate) | f->owner, .epoch = f->epoch,
		.began = now, .seen = now, .doubtful = f->doubtful,
	};

	if (fate != LEFT_UNREMEMBERED && fate != LEFT_TO_THIS_HOST)
		tracked.update((void *)&p->key, &kept);
	else if (p->key.proto == IPPROTO_TCP)
		tracked.delete((void *)&p->key);   /* of the connection that had the tuple before */
}

static __always_inline void fill_fragment_key(struct fragment_key *to, const struct packet *p)
{
	__builtin_memcpy(to->saddr, p->key.saddr, 16);
	__builtin_memcpy(to->daddr, p->key.daddr, 16);
	to->id = p->fragment_id;
	to->proto = p->v6 ? 0 : p->key.proto;   /* RFC 8200, 4.5; RFC 791, 3.2 */
}

/* Remember that the first fragment of a datagram is dropped: the later ones follow it. */
static __always_inline void remember_fragment(const struct packet *p)
{
	struct fragment_key key = {};
	u32 one = 1;

	fill_fragment_key(&key, p);
	fragments.update(&key, &one);
}

/* Another datagram has the number now, and its later fragments are not to be dropped. */
static __always_inline void forget_fragment(const struct packet *p)
{
	struct fragment_key key = {};

	fill_fragment_key(&key, p);
	fragments.delete(&key);
}

/* A fragment cannot be given to a socket, and reassembly forgets whom it was for. So one of a
 * flow to be intercepted is dropped, and those that follow it; any other is left alone. */
static __always_inline u32 recall_later_fragment(const struct packet *p)
{
	struct fragment_key key = {};

	fill_fragment_key(&key, p);
	return fragments.lookup(&key) ? OUT_FRAGMENT_DROPPED : OUT_FRAGMENT;
}

/* GO_ON: the flow has no verdict yet. */
static __always_inline u32 recall_verdict(struct packet *p, const struct flow_info *f)
{
	u32 verdict = lookup_verdict(p, f);

	if (!verdict)
		return GO_ON;
	return verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* UDP has no connection: each datagram is given to the proxy's socket. */
static __always_inline u32 recall_datagram(struct packet *p, struct flow_info *f)
{
	u32 outcome = recall_verdict(p, f);

	f->flags = outcome == GO_ON ? CBF_DATAGRAM | CBF_NEW : CBF_DATAGRAM;
	return outcome;
}
