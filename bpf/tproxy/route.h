/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Not in the headers that BCC brings. Before Linux 6.10 a lookup with it is refused (EINVAL). */
#define BPF_FIB_LOOKUP_BY_MARK (1U << 5)

/* Returns one of enum BPF_FIB_LKUP_RET_..., or a negative number. */
static __always_inline long look_up_route(struct __sk_buff *skb, const struct flow_key *k,
					  u32 flowinfo, u32 v6, u32 mark)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex};

	if (v6) {
		fib.family = AF_INET6;
		fib.flowinfo = flowinfo;
		__builtin_memcpy(fib.ipv6_src, k->saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, k->daddr, 16);
	} else {
		fib.family = AF_INET;
		fib.tos = flowinfo;
		fib.ipv4_src = k->saddr[3];
		fib.ipv4_dst = k->daddr[3];
	}
	fib.l4_protocol = k->proto;
	fib.sport = k->sport;
	fib.dport = k->dport;
	__builtin_memcpy(fib.smac, &mark, sizeof(mark));   /* a union: the mark goes in there */
	return bpf_fib_lookup(skb, &fib, sizeof(fib), mark ? BPF_FIB_LOOKUP_BY_MARK : 0);
}

static __always_inline u32 route_outcome(long answer)
{
	switch (answer) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:      /* the next hop is still to be resolved */
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:    /* by a route that encapsulates */
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:   /* larger than the MTU of the way out */
		return GO_ON;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return OUT_NOT_FORWARDING;
	default:
		/* BPF_FIB_LKUP_RET_NOT_FWDED: for this host, or for all of a link, or there
		 * is no route (that may be BLACKHOLE, UNREACHABLE, PROHIBIT too). The lookup
		 * fails (a negative number): the IP layer does with it what it does. */
		return OUT_LOCAL;
	}
}

/* Whether a packet with this key that comes in by the device goes on through this host, as its
 * routing table says; rules may ask for its `flowinfo` too. Returns GO_ON if it does, else the
 * reason why not.
 *
 * The kernel looks after prerouting, and nobody knows here how netfilter will mark the packet.
 * The answer to "this host's" and to "no route" is the same. So what has no route is looked up
 * as if it were marked: what is this host's stays so, whatever its mark. */
static __always_inline u32 check_route(struct __sk_buff *skb, const struct flow_key *k,
				       u32 flowinfo, u32 v6, const struct config *c)
{
	u32 outcome = route_outcome(look_up_route(skb, k, flowinfo, v6, 0));

	if (outcome == OUT_LOCAL && c->route_mark)
		outcome = route_outcome(look_up_route(skb, k, flowinfo, v6, c->route_mark));
	return outcome;
}
