/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What the flow of a packet is known by, found before anything is decided. */
struct known {
	u32 outcome;     /* the verdict, when `fresh` is 0 */
	u32 fresh;       /* first packet of a flow: the policy must be asked */
	u32 flags;       /* CBF_*: the packet needs the listener */
	u32 owner;       /* the local UDP socket, as `tracked` has it; 0: not of this host */
};

#define VERDICT_MASK 3u

/* What stands above the verdict in `tracked`. A socket's cookie is not given out twice,
 * as its port is: the next one on the tuple has a policy of its own. */
static __always_inline u32 owner_of(struct __sk_buff *skb)
{
	return (u32)bpf_get_socket_cookie(skb) * (VERDICT_MASK + 1);
}

/* The verdict that was taken for this tuple and this socket; 0: there is none. */
static __always_inline u32 kept_verdict(struct packet *p, const struct known *k)
{
	u32 *kept = tracked.lookup(&p->key);

	return kept && (*kept & ~VERDICT_MASK) == k->owner ? *kept & VERDICT_MASK : 0;
}

/* A fragment can't be given to a socket, and reassembly would forget who it was for.
 * So one of a flow that is to be intercepted is dropped, with those that follow it,
 * rather than let out; any other is left alone. */
static __always_inline void fragment_known(struct packet *p, struct known *k)
{
	struct fragment_key key = {};
	u32 verdict;

	if (p->fragment == LATER_FRAGMENT) {
		fragment_key(&key, p);
		k->outcome = fragments.lookup(&key) ? OUT_FRAGMENT_DROPPED : OUT_FRAGMENT;
		return;
	}
	verdict = kept_verdict(p, k);
	if (!verdict)
		k->fresh = 1;
	else
		k->outcome = verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
}

/* UDP has no connection: a verdict is kept for the tuple and its socket. */
static __always_inline void datagram_known(struct packet *p, struct known *k)
{
	u32 verdict = kept_verdict(p, k);

	k->flags = CBF_DATAGRAM;
	if (!verdict) {
		k->fresh = 1;
		k->flags |= CBF_NEW;
	} else
		k->outcome = verdict == VERDICT_INTERCEPT ? OUT_INTERCEPTED : OUT_UNTRACKED;
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

static __always_inline void track(const struct packet *p, const struct known *k, u32 outcome)
{
	u32 verdict = verdict_of(outcome) | k->owner;

	/* Cheap to find out again: no entry. */
	if (outcome != OUT_NO_PROXY && outcome != OUT_BYPASS_ADDRESS && outcome != OUT_LOCAL)
		tracked.update((void *)&p->key, &verdict);
}
