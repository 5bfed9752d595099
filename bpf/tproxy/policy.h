/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* How deep cgroups are looked at; a named one further down does not match. */
#define CGROUP_LEVELS 12

static __always_inline bool user_in(u64 id, struct __sk_buff *skb)
{
	struct prefix what = {.length = 32, .bits = {bpf_htonl(bpf_get_socket_uid(skb))}};

	return in_set(id, &what);
}

/* A socket is in a cgroup when it is in any below it. */
static __always_inline bool cgroup_in(u64 id, struct __sk_buff *skb)
{
	struct prefix what = {.length = 64};
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
		what.bits[0] = bpf_htonl(cgroup >> 32);
		what.bits[1] = bpf_htonl((u32)cgroup);
		if (bpf_map_lookup_elem(set, &what))
			return true;
	}
	return false;
}

static __always_inline bool never_intercepted_v6(const u32 *a)
{
	u32 first = bpf_ntohl(a[0]);

	return first >> 24 == 0xff             /* multicast */
	    || first >> 22 == 0xfe80 >> 6      /* link-local: NDP, DHCPv6 */
	    || !(a[0] | a[1] | (a[2] & ~bpf_htonl(0xffff)));  /* ::1, ::, mapped IPv4 */
}

/* A source that is no single host must not be answered (RFC 1122, 3.2.2). */
static __always_inline bool never_intercepted(const struct packet *p)
{
	u32 a = bpf_ntohl(p->key.daddr[3]), s = bpf_ntohl(p->key.saddr[3]);

	if (p->v6)
		return never_intercepted_v6(p->key.daddr) || never_intercepted_v6(p->key.saddr);
	return a >> 24 == 0                    /* "this" network, RFC 1122 */
	    || a >> 24 == 127                  /* loopback */
	    || a >> 16 == 0xa9fe               /* link-local, RFC 3927 */
	    || a >= 0xe0000000                 /* multicast, reserved, broadcast */
	    || s >> 24 == 127 || s >= 0xe0000000
	    || !s;                             /* no address yet: DHCP */
}

/* A subnet's broadcast address is known by its link-layer address alone. */
static __always_inline bool to_all(struct __sk_buff *skb, const struct packet *p)
{
	u8 first;

	return p->l2 == ETHERNET && !bpf_skb_load_bytes(skb, 0, &first, 1) && (first & 1);
}

static __always_inline bool bypass_marked(const struct config *c, u32 mark)
{
	int i;

#pragma unroll
	for (i = 0; i < BYPASS_MARKS; i++)
		if (c->bypass[i].mask && (mark & c->bypass[i].mask) == c->bypass[i].value)
			return true;
	return false;
}

/* Asked once per flow, at its first packet. `local`: this host's own socket sent it. */
static __always_inline u32 decide(struct __sk_buff *skb, const struct packet *p,
				  const struct config *c, bool local)
{
	const struct policy *y = &c->policy;

	if (!c->listeners[(p->key.proto == IPPROTO_UDP) * 2 + !!p->v6].enabled)
		return OUT_NO_PROXY;
	if (never_intercepted(p) || (local && to_all(skb, p)))
		return OUT_BYPASS_ADDRESS;
	if (bypass_marked(c, skb->mark))
		return OUT_BYPASS_MARK;
	if ((y->from && !network_in(y->from, p->key.saddr))
	    || (y->to && !network_in(y->to, p->key.daddr))
	    || (y->ports && !port_in(y->ports, p->key.dport)))
		return OUT_NOT_NAMED;
	if (y->bypass_from && network_in(y->bypass_from, p->key.saddr))
		return OUT_BYPASS_FROM;
	if (y->bypass_to && network_in(y->bypass_to, p->key.daddr))
		return OUT_BYPASS_TO;
	if (y->bypass_ports && port_in(y->bypass_ports, p->key.dport))
		return OUT_BYPASS_PORT;
	if (!local)
		return OUT_INTERCEPTED;
	if (y->bypass_users && user_in(y->bypass_users, skb))
		return OUT_BYPASS_USER;
	if (y->bypass_cgroups && cgroup_in(y->bypass_cgroups, skb))
		return OUT_BYPASS_CGROUP;
	return OUT_INTERCEPTED;
}
