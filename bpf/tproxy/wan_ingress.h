/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The ingress of an interface with output: the answers to its device-bound clients, which
 * our programs redirect to it, and who outside sends datagrams to this host. */
static __always_inline int watch_incoming(struct __sk_buff *skb, u32 l2)
{
	struct packet p = {};

	if (take_own_answer(skb))
		return TC_ACT_OK;
	if (parse_packet(skb, l2, &p) == GO_ON)
		remember_visitor(skb, &p);
	return TC_ACT_UNSPEC;
}
