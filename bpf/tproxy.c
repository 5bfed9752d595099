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
#include <linux/pkt_cls.h>

#include "common/kernel.h"
#include "common/flow_key.h"
#include "common/sets.h"
#include "common/socket_verdict.h"

/* What is configured, remembered, counted, and told to the next program. */
#include "tproxy/config.h"
#include "tproxy/flow_tables.h"
#include "tproxy/forget.h"
#include "tproxy/outcomes.h"
#include "tproxy/fate.h"
#include "tproxy/counters.h"
#include "tproxy/handover.h"

/* What a packet says, and what is asked about it. */
#include "tproxy/packet.h"
#include "tproxy/parse_ip.h"
#include "tproxy/parse.h"
#include "tproxy/policy.h"
#include "tproxy/sockets.h"
#include "tproxy/transparent.h"
#include "tproxy/listener.h"
#include "tproxy/route.h"
#include "tproxy/sender.h"
#include "tproxy/recent.h"
#include "tproxy/clients.h"
#include "tproxy/services.h"
#include "tproxy/flow_age.h"
#include "tproxy/visitors.h"
#include "tproxy/recall.h"
#include "tproxy/recall_outgoing.h"
#include "tproxy/decide.h"

/* What is done with it. */
#include "tproxy/redirect.h"
#include "tproxy/checksum.h"
#include "tproxy/source_nat.h"
#include "tproxy/answer_ip.h"
#include "tproxy/refuse_tcp.h"
#include "tproxy/icmp_answer.h"
#include "tproxy/refuse.h"
#include "tproxy/time_wait.h"
#include "tproxy/icmp_error.h"

/* A file for each hook. */
#include "tproxy/settled.h"
#include "tproxy/wan_egress.h"
#include "tproxy/wan_ingress.h"
#include "tproxy/lan_ingress.h"
#include "tproxy/lo_ingress.h"
#include "tproxy/lo_egress.h"

/* User space asks for the programs it needs: each takes a fifth of a second. */

#ifdef WITH_WAN_EGRESS
int wan_egress(struct __sk_buff *skb)
{
	return intercept_outgoing(skb, ETHERNET);
}
#endif

#ifdef WITH_WAN_INGRESS
int wan_ingress(struct __sk_buff *skb)
{
	return watch_incoming(skb, ETHERNET);
}
#endif

#ifdef WITH_LAN_INGRESS
int lan_ingress(struct __sk_buff *skb)
{
	return intercept_forwarded(skb, ETHERNET);
}
#endif

/* The same for devices without a link-layer header: tun, wireguard, ppp. */

#ifdef WITH_WAN_EGRESS_L3
int wan_egress_l3(struct __sk_buff *skb)
{
	return intercept_outgoing(skb, RAW_IP);
}
#endif

#ifdef WITH_WAN_INGRESS_L3
int wan_ingress_l3(struct __sk_buff *skb)
{
	return watch_incoming(skb, RAW_IP);
}
#endif

#ifdef WITH_LAN_INGRESS_L3
int lan_ingress_l3(struct __sk_buff *skb)
{
	return intercept_forwarded(skb, RAW_IP);
}
#endif

#ifdef WITH_LO_INGRESS
int lo_ingress(struct __sk_buff *skb)
{
	return deliver_to_proxy(skb);
}
#endif

#ifdef WITH_LO_EGRESS
int lo_egress(struct __sk_buff *skb)
{
	return return_to_client(skb);
}
#endif
