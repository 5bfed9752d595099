/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What the flow of a packet is known by, found before anything is decided. */
struct known {
	u32 outcome;     /* the verdict, when `fresh` is 0 */
	u32 fresh;       /* first packet of a flow: the policy must be asked */
	u32 flags;       /* CBF_*: the packet needs the listener */
};

/* A fragment can't be given to a socket, and reassembly would forget who it was for.
 * So one of a flow that is to be intercepted is dropped, with those that follow it,
 * rather than let out; any other is left alone. */
static __always_inline void fragment_known(struct packet *p, struct known *k)
{
	struct fragment_key key = {};

	u32 *verdict;

	if (p->fragment == LATER_FRAGMENT) {
		fragment_key(&key, p);
		k->outcome = fragments.lookup(&key) ? OUT_FRAGMENT_DROPPED : OUT_FRAGMENT;
		return;
	}
	verdict = tracked.lookup(&p->key);
	if (!verdict)
		k->fresh = 1;
	else
		k->outcome = *verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* UDP has no connection: a verdict is kept for the tuple. */
static __always_inline void datagram_known(struct packet *p, struct known *k)
{
	u32 *verdict = tracked.lookup(&p->key);

	k->flags = CBF_DATAGRAM;
	if (!verdict) {
		k->fresh = 1;
		k->flags |= CBF_NEW;
	} else
		k->outcome = *verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* Ask the policy about a fresh flow, and whether anybody listens. */
static __always_inline u32 settle(struct __sk_buff *skb, struct packet *p,
				  const struct config *c, struct known *k, bool local)
{
	struct fragment_key key = {};
	u32 what = k->outcome, one = 1;

	if (k->fresh)
		what = decide(skb, p, c, local);
	if (p->fragment) {
		if (p->fragment == LATER_FRAGMENT)
			return what;
		if (what != OUT_INTERCEPTED)
			return OUT_FRAGMENT;
		fragment_key(&key, p);
		fragments.update(&key, &one);
		return OUT_FRAGMENT_DROPPED;
	}
	if (what == OUT_INTERCEPTED && k->flags && !has_listener(skb, p, c))
		what = k->fresh && c->when_down == WHEN_DOWN_BYPASS ? OUT_DOWN_BYPASSED
								     : OUT_REFUSED;
	return what;
}

static __always_inline u32 verdict_of(u32 outcome)
{
	return outcome == OUT_INTERCEPTED || outcome == OUT_REFUSED ? VERDICT_INTERCEPT
								      : VERDICT_BYPASS;
}

static __always_inline void track(const struct packet *p, u32 outcome)
{
	u32 verdict = verdict_of(outcome);

	/* Cheap to find out again: no entry. */
	if (outcome != OUT_NO_PROXY && outcome != OUT_BYPASS_ADDRESS && outcome != OUT_LOCAL)
		tracked.update((void *)&p->key, &verdict);
}
