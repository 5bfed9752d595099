/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* For IPv4 "destination unreachable", of which "fragmentation needed" is one (RFC 792); for
 * IPv6 every error, of which "packet too big" is one (RFC 4443). */
#define ICMPV6_FIRST_ERROR 1
#define ICMPV6_LAST_ERROR 4
#define ICMP_HEADER 8   /* the quoted packet follows it */

/* An ICMP error on its way to the original destination about a packet that the proxy sent in
 * its name: without it path MTU discovery would fail. */
static __always_inline u32 judge_icmp_error(struct __sk_buff *skb, struct packet *p)
{
	struct packet quoted = {.l2 = p->l4 + ICMP_HEADER};
	struct udphdr ports;
	u32 outcome;

	if (p->v6 ? p->icmp_type < ICMPV6_FIRST_ERROR || p->icmp_type > ICMPV6_LAST_ERROR
		  : p->icmp_type != ICMP_UNREACHABLE)
		return OUT_OTHER_PROTOCOL;
	outcome = p->v6 ? parse_ipv6(skb, &quoted) : parse_ipv4(skb, &quoted);
	if (outcome != GO_ON || quoted.key.proto != IPPROTO_TCP
	    || bpf_skb_load_bytes(skb, quoted.l4, &ports, sizeof(ports)))
		return OUT_OTHER_PROTOCOL;
	quoted.key.sport = ports.source;
	quoted.key.dport = ports.dest;
	reverse_key(&p->key, &quoted.key);
	return has_connection(skb, p) ? OUT_ICMP : OUT_OTHER_PROTOCOL;
}
