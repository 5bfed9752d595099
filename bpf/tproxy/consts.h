/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* skb->cb[0] survives bpf_redirect(BPF_F_INGRESS) and is zeroed by nobody on
 * the way, so it says "one of our programs sent this" where a mark could be
 * somebody else's. */
#define CB_TO_PROXY  0x6e747001
#define CB_TO_CLIENT 0x6e747002
#define CB_AGAIN     0x6e747003   /* forwarded: met TIME_WAIT, which is reset by now */

/* skb->cb slots. */
#define CB_MAGIC   0
#define CB_IFINDEX 1
#define CB_FLAGS   2

/* The three-way handshake may still be open: with SYN cookies the proxy has no
 * socket for this tuple yet and the listener must be given the ACK as well. */
#define CBF_HANDSHAKE 1
/* Datagrams are given to the proxy one by one. */
#define CBF_DATAGRAM 2
/* This one is the first of its flow. */
#define CBF_NEW 4
/* It met TIME_WAIT, which is reset by now. */
#define CBF_AGAIN 8

/* The kernel's TCP states (include/net/tcp_states.h); UAPI has no header for them. */
#define STATE_ESTABLISHED  1
#define STATE_SYN_SENT     2
#define STATE_TIME_WAIT    6
#define STATE_LISTEN      10

#define PKT_HOST 0
#define PKT_OTHERHOST 3

#define ETHERNET 14   /* length of the link-layer header */
#define RAW_IP    0   /* tun, wireguard, ppp: none */

#define IP_OFFSET_MASK 0x1fff
#define IP_MORE_FRAGS  0x2000

#define WHEN_DOWN_DROP   0
#define WHEN_DOWN_BYPASS 1

/* What became of a packet. Keep in step with netplan_tproxy/datapath.py. */
enum outcome {
	OUT_INTERCEPTED = 0,   /* sent to the proxy */
	OUT_REPLY,             /* the proxy's packet, brought to a device-bound client */
	OUT_NEW,               /* a connection, or a UDP flow, given to the listener */
	OUT_REFUSED,           /* nobody listens: answered with a reset or an ICMP error */
	OUT_DOWN_BYPASSED,     /* nobody listens: sent out directly, as the file says */
	OUT_OTHER_PROTOCOL,    /* neither TCP nor UDP over IP */
	OUT_NO_PROXY,          /* no listener is configured for this protocol and family */
	OUT_VLAN,              /* tagged: belongs to a VLAN device */
	OUT_FORWARDED,         /* on its way from another interface */
	OUT_LOCAL,             /* for an address of this host */
	OUT_NOT_FORWARDING,    /* from behind, and this host does not send it on */
	OUT_UNTRACKED,         /* of a connection older than the program, or bypassed, or inbound */
	OUT_NOT_NAMED,         /* `intercept` does not name it */
	OUT_BYPASS_MARK,       /* bypassed by its mark */
	OUT_BYPASS_ADDRESS,    /* loopback, link-local, multicast, broadcast, unspecified */
	OUT_BYPASS_FROM,       /* bypassed by its source network */
	OUT_BYPASS_TO,         /* bypassed by its destination network */
	OUT_BYPASS_PORT,       /* bypassed by its destination port */
	OUT_BYPASS_USER,       /* bypassed by its socket's user */
	OUT_BYPASS_CGROUP,     /* bypassed by its socket's cgroup */
	OUT_MALFORMED,         /* headers cut short or inconsistent */
	OUT_FRAGMENT,          /* a fragment of nothing to be intercepted: left alone */
	OUT_FRAGMENT_DROPPED,  /* a fragment of what is to be intercepted: dropped */
	OUT_NO_MEMORY,         /* no socket storage: dropped, the client tries again */
	OUT_NO_LISTENER,       /* the listener went away on the way: dropped */
	OUT_ASSIGN_FAILED,     /* bpf_sk_assign refused: dropped */
	OUT_TIME_WAIT,         /* the tuple is in TIME_WAIT at the proxy, which is reset */
	OUT_ICMP,              /* an ICMP error about a packet of the proxy's, given to it */
	OUT_UNCONFIGURED,      /* no config yet: left alone */
	OUT_MAX
};
