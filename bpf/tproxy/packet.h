/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Lengths of link-layer headers. */
#define ETHERNET 14
#define RAW_IP    0   /* tun, wireguard, ppp: none */

#define VLAN_ID_MASK 0x0fff   /* <linux/if_vlan.h> */

/* How much of its headers there is to read. UNREADABLE: the addresses alone; it may be a
 * fragment too. */
enum shape { WHOLE = 0, FIRST_FRAGMENT, LATER_FRAGMENT, UNREADABLE };

/* What the headers of a packet say. */
struct packet {
	struct flow_key key;   /* ports are 0 in a later fragment, and where nothing can be read */
	u32 l2;                /* length of the link-layer header */
	u32 l4;                /* offset of the TCP, UDP or ICMP header */
	u32 seq;               /* TCP, network order */
	u32 ack_seq;
	u32 fragment_id;
	u32 flowinfo;          /* IPv4: the byte of the type of service; IPv6, network order */
	u8 v6;
	u8 shape;              /* enum shape; unless WHOLE, nothing below is known */
	u8 syn;                /* SYN without ACK and RST: opens a connection */
	u8 ack;
	u8 syn_ack;            /* answers a SYN */
	u8 ending;             /* FIN or RST */
	u8 rst;
	u8 icmp_type;
};
