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
 * that the policy is asked. `local`: it was sent here, by `sk` if that is known. */
static __always_inline u32 decide(struct __sk_buff *skb, struct packet *p, const struct config *c,
				  struct flow_info *f, u32 recalled,
				  struct bpf_sock *sk, bool local)
{
	u32 outcome = recalled;

	if (recalled == GO_ON)
		outcome = ask_policy(skb, p, c, local);
	if (recalled == GO_ON && outcome == OUT_INTERCEPTED && sk && p->shape != UNREADABLE
	    && is_of_other_namespace(skb, p, c, sk))
		outcome = OUT_OTHER_NAMESPACE;
	if (outcome != OUT_INTERCEPTED) {
		if (p->shape == FIRST_FRAGMENT) {
			forget_fragment(p);
			return OUT_FRAGMENT;
		}
		return p->shape == UNREADABLE ? OUT_MALFORMED : outcome;
	}
	if (p->shape != WHOLE)
		remember_fragment(p);
	if (p->shape == UNREADABLE)
		return OUT_UNREADABLE;
	if (p->shape != WHOLE)
		return OUT_FRAGMENT_DROPPED;
	if (can_be_delivered(skb, p, c, f))
		return OUT_INTERCEPTED;
	/* Nobody listens. What the proxy had is not let out: half a conversation. */
	if (recalled == GO_ON && c->when_down == WHEN_DOWN_BYPASS)
		return OUT_DOWN_BYPASSED;
	return OUT_REFUSED;
}
