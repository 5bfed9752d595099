/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* For IPv4 "destination unreachable", of which "fragmentation needed" is one (RFC 792); for
 * IPv6 every error, of which "packet too big" is one (RFC 4443). */
#define ICMPV6_FIRST_ERROR 1
#define ICMPV6_LAST_ERROR 4
#define ICMP_HEADER 8   /* the quoted packet follows it */

/* The proxy may have no socket any more, as it makes one for each answer. */
static __always_inline bool is_flow_of_proxy(const struct flow_key *client)
{
	struct flow_verdict *kept = tracked.lookup((void *)client);

	return kept && (kept->entry & VERDICT_MASK) == VERDICT_INTERCEPT;
}

/* An ICMP error on its way to the original destination about a packet that the proxy sent in
 * its name: without it path MTU discovery would fail. And it quotes what the proxy said, which
 * is not for the original destination. */
static __always_inline u32 judge_icmp_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet quoted = {.l2 = p->l4 + ICMP_HEADER};
	struct udphdr ports;
	u32 outcome;

	if (p->v6 ? p->icmp_type < ICMPV6_FIRST_ERROR || p->icmp_type > ICMPV6_LAST_ERROR
		  : p->icmp_type != ICMP_UNREACHABLE)
		return OUT_OTHER_PROTOCOL;
	outcome = p->v6 ? parse_ipv6(skb, &quoted) : parse_ipv4(skb, &quoted);
	if (outcome != GO_ON || quoted.shape == LATER_FRAGMENT
	    || (quoted.key.proto != IPPROTO_TCP && quoted.key.proto != IPPROTO_UDP)
	    || bpf_skb_load_bytes(skb, quoted.l4, &ports, sizeof(ports)))
		return OUT_OTHER_PROTOCOL;
	quoted.key.sport = ports.source;
	quoted.key.dport = ports.dest;
	reverse_key(&p->key, &quoted.key);
	if (is_flow_of_proxy(&p->key)
	    || (p->key.proto == IPPROTO_TCP && has_connection(skb, p)))
		return OUT_ICMP;
	return OUT_OTHER_PROTOCOL;
}
