/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a packet from behind goes on through this host, as its routing table says.
 * Returns OUT_INTERCEPTED if it does, else the reason why not. */
static __always_inline u32 check_route(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex};
	long rc;

	if (p->v6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, p->key.saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, p->key.daddr, 16);
	} else {
		fib.family = AF_INET;
		fib.ipv4_src = p->key.saddr[3];
		fib.ipv4_dst = p->key.daddr[3];
	}
	fib.l4_protocol = p->key.proto;
	fib.sport = p->key.sport;
	fib.dport = p->key.dport;
	rc = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (rc == BPF_FIB_LKUP_RET_SUCCESS || rc == BPF_FIB_LKUP_RET_NO_NEIGH
	    || rc == BPF_FIB_LKUP_RET_UNSUPP_LWT || rc == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return OUT_INTERCEPTED;
	return rc == BPF_FIB_LKUP_RET_FWD_DISABLED ? OUT_NOT_FORWARDING : OUT_LOCAL;
}
