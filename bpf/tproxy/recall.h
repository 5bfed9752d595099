/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What is remembered of a packet's flow, before anything is decided. */
struct recalled {
	u32 outcome;     /* what becomes of the packet, unless `fresh` */
	u32 fresh;       /* the first packet of a flow: the policy must be asked */
	u32 flags;       /* CBF_*: the packet must be given to the listener */
	u32 owner;       /* the local UDP socket, as `tracked` has it; 0: not of this host */
};

#define VERDICT_MASK 3u

/* What stands above the verdict in `tracked`. A socket's cookie is never given out again, as
 * its port is: the next socket with the same tuple gets a verdict of its own. */
static __always_inline u32 read_owner(struct __sk_buff *skb)
{
	return (u32)bpf_get_socket_cookie(skb) * (VERDICT_MASK + 1);
}

/* The verdict on this tuple and this socket; 0: there is none. */
static __always_inline u32 lookup_verdict(struct packet *p, const struct recalled *r)
{
	u32 *entry = tracked.lookup(&p->key);

	return entry && (*entry & ~VERDICT_MASK) == r->owner ? *entry & VERDICT_MASK : 0;
}

static __always_inline u32 verdict_for(u32 outcome)
{
	return outcome == OUT_INTERCEPTED || outcome == OUT_REFUSED ? VERDICT_INTERCEPT
								      : VERDICT_BYPASS;
}

static __always_inline void remember_verdict(const struct packet *p, const struct recalled *r,
					     u32 outcome)
{
	u32 entry = verdict_for(outcome) | r->owner;

	/* Cheap to decide again: not worth an entry. */
	if (outcome != OUT_NO_PROXY && outcome != OUT_BYPASS_ADDRESS && outcome != OUT_LOCAL)
		tracked.update((void *)&p->key, &entry);
}

static __always_inline void fill_fragment_key(struct fragment_key *to, const struct packet *p)
{
	__builtin_memcpy(to->saddr, p->key.saddr, 16);
	__builtin_memcpy(to->daddr, p->key.daddr, 16);
	to->id = p->fragment_id;
	to->proto = p->v6 ? 0 : p->key.proto;   /* RFC 8200, 4.5; RFC 791, 3.2 */
}

/* A fragment cannot be given to a socket, and reassembly forgets whom it was for. So one of a
 * flow to be intercepted is dropped, and those that follow it; any other is left alone. */
static __always_inline void recall_fragment(struct packet *p, struct recalled *r)
{
	struct fragment_key key = {};
	u32 verdict;

	if (p->fragment == LATER_FRAGMENT) {
		fill_fragment_key(&key, p);
		r->outcome = fragments.lookup(&key) ? OUT_FRAGMENT_DROPPED : OUT_FRAGMENT;
		return;
	}
	verdict = lookup_verdict(p, r);
	if (!verdict)
		r->fresh = 1;
	else
		r->outcome = verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* UDP has no connection: a verdict holds for the tuple and its socket. */
static __always_inline void recall_datagram(struct packet *p, struct recalled *r)
{
	u32 verdict = lookup_verdict(p, r);

	r->flags = CBF_DATAGRAM;
	if (!verdict) {
		r->fresh = 1;
		r->flags |= CBF_NEW;
	} else
		r->outcome = verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* Ask the policy about a fresh flow, and whether anybody listens. */
static __always_inline u32 decide(struct __sk_buff *skb, struct packet *p,
				  const struct config *c, struct recalled *r, bool local)
{
	struct fragment_key key = {};
	u32 what = r->outcome, one = 1;

	if (r->fresh)
		what = ask_policy(skb, p, c, local);
	if (p->fragment) {
		if (p->fragment == LATER_FRAGMENT)
			return what;
		if (what != OUT_INTERCEPTED)
			return OUT_FRAGMENT;
		fill_fragment_key(&key, p);
		fragments.update(&key, &one);
		return OUT_FRAGMENT_DROPPED;
	}
	if (what == OUT_INTERCEPTED && r->flags && !has_listener(skb, p, c))
		what = r->fresh && c->when_down == WHEN_DOWN_BYPASS ? OUT_DOWN_BYPASSED
								     : OUT_REFUSED;
	return what;
}
