/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* How many levels of cgroups are looked at; a named cgroup further down does not match. */
#define CGROUP_LEVELS 12

static __always_inline bool is_user_in_set(u64 id, struct __sk_buff *skb)
{
	struct prefix wanted = {.length = 32, .bits = {bpf_htonl(bpf_get_socket_uid(skb))}};

	return is_in_set(id, &wanted);
}

/* A named cgroup holds the sockets of all cgroups below it. */
static __always_inline bool is_cgroup_in_set(u64 id, struct __sk_buff *skb)
{
	struct prefix wanted = {.length = 64};
	void *set = sets.lookup(&id);
	u64 cgroup;
	int level;

	if (!set)
		return false;
#pragma unroll
	for (level = 1; level <= CGROUP_LEVELS; level++) {
		cgroup = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!cgroup)
			return false;
		wanted.bits[0] = bpf_htonl(cgroup >> 32);
		wanted.bits[1] = bpf_htonl((u32)cgroup);
		if (bpf_map_lookup_elem(set, &wanted))
			return true;
	}
	return false;
}

static __always_inline bool is_never_intercepted_ipv6(const u32 *a)
{
	u32 first = bpf_ntohl(a[0]);

	return first >> 24 == 0xff             /* multicast */
	    || first >> 22 == 0xfe80 >> 6      /* link-local: NDP, DHCPv6 */
	    || !(a[0] | a[1] | (a[2] & ~bpf_htonl(0xffff)));  /* ::/80: ::1, ::, mapped IPv4 */
}

/* A source that is no single host must not be answered (RFC 1122, 3.2.2). */
static __always_inline bool has_address_never_intercepted(const struct packet *p)
{
	u32 d = bpf_ntohl(p->key.daddr[3]), s = bpf_ntohl(p->key.saddr[3]);

	if (p->v6)
		return is_never_intercepted_ipv6(p->key.daddr)
		    || is_never_intercepted_ipv6(p->key.saddr);
	return d >> 24 == 0                    /* "this" network, RFC 1122 */
	    || d >> 24 == 127                  /* loopback */
	    || d >> 16 == 0xa9fe               /* link-local, RFC 3927 */
	    || d >= 0xe0000000                 /* multicast, reserved, broadcast */
	    || s >> 24 == 127 || s >= 0xe0000000
	    || !s;                             /* no address yet: DHCP */
}

/* A subnet's broadcast address is known by its link-layer address alone. */
static __always_inline bool is_link_broadcast(struct __sk_buff *skb, const struct packet *p)
{
	u8 first;

	return p->l2 == ETHERNET && !bpf_skb_load_bytes(skb, 0, &first, 1) && (first & 1);
}

static __always_inline bool has_bypass_mark(const struct config *c, u32 mark)
{
	int i;

#pragma unroll
	for (i = 0; i < BYPASS_MARKS; i++)
		if (c->bypass[i].mask && (mark & c->bypass[i].mask) == c->bypass[i].value)
			return true;
	return false;
}

/* Whether there is a listener for the protocol and family. What cannot be read may be TCP or
 * UDP, unless the chain of its headers gets to another protocol. */
static __always_inline bool has_proxy(const struct packet *p, const struct config *c)
{
	const struct listener *tcp = &c->listeners[!!p->v6], *udp = &c->listeners[2 + !!p->v6];

	if (p->key.proto == IPPROTO_TCP)
		return tcp->enabled;
	if (p->key.proto == IPPROTO_UDP)
		return udp->enabled;
	return p->v6 && p->key.proto == UNKNOWN_PROTOCOL && (tcp->enabled || udp->enabled);
}

/* Asked once per flow, at its first packet. `local`: a socket of this host sent it.
 * What has no ports to be read may have any. */
static __always_inline u32 ask_policy(struct __sk_buff *skb, const struct packet *p,
				      const struct config *c, bool local)
{
	const struct policy *y = &c->policy;

	if (!has_proxy(p, c))
		return OUT_NO_PROXY;
	if (has_address_never_intercepted(p) || (local && is_link_broadcast(skb, p)))
		return OUT_BYPASS_ADDRESS;
	if (has_bypass_mark(c, skb->mark))
		return OUT_BYPASS_MARK;
	if ((y->from && !is_network_in_set(y->from, p->key.saddr))
	    || (y->to && !is_network_in_set(y->to, p->key.daddr))
	    || (y->ports && p->shape != UNREADABLE && !is_port_in_set(y->ports, p->key.dport)))
		return OUT_NOT_NAMED;
	if (y->bypass_from && is_network_in_set(y->bypass_from, p->key.saddr))
		return OUT_BYPASS_FROM;
	if (y->bypass_to && is_network_in_set(y->bypass_to, p->key.daddr))
		return OUT_BYPASS_TO;
	if (y->bypass_ports && p->shape != UNREADABLE && is_port_in_set(y->bypass_ports, p->key.dport))
		return OUT_BYPASS_PORT;
	if (!local)
		return OUT_INTERCEPTED;
	if (y->bypass_users && is_user_in_set(y->bypass_users, skb))
		return OUT_BYPASS_USER;
	if (y->bypass_cgroups && is_cgroup_in_set(y->bypass_cgroups, skb))
		return OUT_BYPASS_CGROUP;
	return OUT_INTERCEPTED;
}
