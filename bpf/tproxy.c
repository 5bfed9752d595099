/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What this host's own sockets send out of an interface (intercept: output):
 *
 *   client ─► wan_egress ─► lo_ingress ─► proxy's listener
 *   client ◄─ wan_ingress ◄─ lo_egress ◄─ proxy      (client bound to the device)
 *   client ◄──────────────── lo        ◄─ proxy      (any other client)
 *
 * What machines behind an interface send through this host (intercept: forward):
 *
 *   client ─► lan_ingress ─► proxy's listener,  client ◄─ routing ◄─ proxy
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include "tproxy/consts.h"
#include "tproxy/maps.h"
#include "tproxy/count.h"
#include "tproxy/parse.h"
#include "tproxy/sets.h"
#include "tproxy/policy.h"
#include "tproxy/listener.h"
#include "tproxy/refuse.h"
#include "tproxy/steer.h"
#include "tproxy/recent.h"
#include "tproxy/waiting.h"
#include "tproxy/verdict.h"
#include "tproxy/established.h"
#include "tproxy/output.h"
#include "tproxy/loopback.h"
#include "tproxy/forward.h"

/* User space asks for the programs it needs: each takes a fifth of a second. */

#ifdef WITH_WAN_EGRESS
int wan_egress(struct __sk_buff *skb)
{
	return output(skb, ETHERNET);
}
#endif

#ifdef WITH_WAN_INGRESS
int wan_ingress(struct __sk_buff *skb)
{
	return input(skb, ETHERNET);
}
#endif

#ifdef WITH_LAN_INGRESS
int lan_ingress(struct __sk_buff *skb)
{
	return through(skb, ETHERNET);
}
#endif

/* The same for devices without a link-layer header: tun, wireguard, ppp. */

#ifdef WITH_WAN_EGRESS_L3
int wan_egress_l3(struct __sk_buff *skb)
{
	return output(skb, RAW_IP);
}
#endif

#ifdef WITH_WAN_INGRESS_L3
int wan_ingress_l3(struct __sk_buff *skb)
{
	return input(skb, RAW_IP);
}
#endif

#ifdef WITH_LAN_INGRESS_L3
int lan_ingress_l3(struct __sk_buff *skb)
{
	return through(skb, RAW_IP);
}
#endif

#ifdef WITH_LO_INGRESS
int lo_ingress(struct __sk_buff *skb)
{
	return to_listener(skb);
}
#endif

#ifdef WITH_LO_EGRESS
int lo_egress(struct __sk_buff *skb)
{
	return from_proxy(skb);
}
#endif
