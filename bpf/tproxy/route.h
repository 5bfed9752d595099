/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a packet with this key that comes in by the device goes on through this host, as its
 * routing table says; rules may ask for its `flowinfo` too. Returns GO_ON if it does, else the
 * reason why not. */
static __always_inline u32 check_route(struct __sk_buff *skb, const struct flow_key *k,
				       u32 flowinfo, u32 v6)
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
	switch (bpf_fib_lookup(skb, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:      /* the next hop is still to be resolved */
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:    /* by a route that encapsulates */
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:   /* larger than the MTU of the way out */
		return GO_ON;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return OUT_NOT_FORWARDING;
	default:
		/* BPF_FIB_LKUP_RET_NOT_FWDED: for this host, or for all of a link. There
		 * is no route (BLACKHOLE, UNREACHABLE, PROHIBIT), or the lookup fails (a
		 * negative number): the IP layer does with it what it does. */
		return OUT_LOCAL;
	}
}
