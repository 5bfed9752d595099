/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether the packet can be given to a socket of the proxy's. Without flags TCP finds one. */
static __always_inline bool can_be_delivered(struct __sk_buff *skb, const struct packet *p,
					     const struct config *c, struct flow_info *f)
{
	enum listening who = f->flags ? who_listens(skb, p, c) : PROXY_LISTENS;

	f->other_listens = who == OTHER_LISTENS;
	return who == PROXY_LISTENS;
}

/* What becomes of a packet. `recalled`: what is remembered of its flow; GO_ON: nothing, so
 * that the policy is asked. `local`: a socket of this host sent it. */
static __always_inline u32 decide(struct __sk_buff *skb, struct packet *p, const struct config *c,
				  struct flow_info *f, u32 recalled, bool local)
{
	u32 outcome = recalled;

	if (recalled == GO_ON)
		outcome = ask_policy(skb, p, c, local);
	if (outcome != OUT_INTERCEPTED) {
		if (p->fragment != FIRST_FRAGMENT)
			return outcome;
		forget_fragment(p);
		return OUT_FRAGMENT;
	}
	if (p->fragment) {
		remember_fragment(p);
		return OUT_FRAGMENT_DROPPED;
	}
	if (can_be_delivered(skb, p, c, f))
		return OUT_INTERCEPTED;
	/* Nobody listens. What the proxy had is not let out: half a conversation. */
	if (recalled == GO_ON && c->when_down == WHEN_DOWN_BYPASS)
		return OUT_DOWN_BYPASSED;
	return OUT_REFUSED;
}
