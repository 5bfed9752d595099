/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What is done with a packet. Outcomes are many and fates few: what follows a decision asks
 * for the fate alone, or the verifier would walk it once for each outcome. */
enum fate {
	LEFT_ALONE = 0,
	LEFT_UNREMEMBERED,   /* so cheap to decide again that nobody remembers it */
	LEFT_TO_THIS_HOST,   /* the same: one of its sockets may get the packet */
	TO_PROXY,
	ANSWERED,            /* with a refusal, in the far end's name */
	DROPPED,
};

static __always_inline u32 fate_of(struct __sk_buff *skb, u32 outcome)
{
	u32 fate;

	switch (outcome) {
	case OUT_INTERCEPTED:
	case OUT_NEW:
	case OUT_TIME_WAIT:
	case OUT_ICMP:
		fate = TO_PROXY;
		break;
	case OUT_REFUSED:
	case OUT_TOO_LONG:
		fate = ANSWERED;
		break;
	case OUT_FRAGMENT_DROPPED:   /* let out, part of the flow would leak */
	case OUT_NO_MEMORY:          /* let out, the connection would leak */
	case OUT_UNREADABLE:         /* let out, it would leak: the far end may be able to read it */
	case OUT_NO_LISTENER:        /* let in, another server of this host would get it */
	case OUT_ASSIGN_FAILED:
		fate = DROPPED;
		break;
	case OUT_NO_PROXY:
	case OUT_OTHER_NAMESPACE:
		fate = LEFT_UNREMEMBERED;
		break;
	case OUT_LOCAL:
	case OUT_NOT_FORWARDING:     /* the lookup does not get to whom the packet is for */
	case OUT_BYPASS_ADDRESS:     /* a group, which this host may be a member of */
		fate = LEFT_TO_THIS_HOST;
		break;
	default:
		fate = LEFT_ALONE;
	}
	return fate + unknown_nothing(skb);
}

/* What is not ours gets TC_ACT_UNSPEC: the filters behind ours run, which TC_ACT_OK would
 * prevent. */
static __always_inline int tc_action(u32 fate)
{
	return fate == DROPPED ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
