/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* skb->cb[0] survives bpf_redirect(BPF_F_INGRESS) and is zeroed by nobody on
 * the way, so it says "one of our programs sent this" where a mark could be
 * somebody else's. */
#define CB_TO_PROXY  0x6e747001
#define CB_TO_CLIENT 0x6e747002

/* skb->cb slots. */
#define CB_MAGIC   0
#define CB_IFINDEX 1
#define CB_FLAGS   2

/* The three-way handshake may still be open: with SYN cookies the proxy has no
 * socket for this tuple yet and the listener must be given the ACK as well. */
#define CBF_HANDSHAKE 1

/* The kernel's TCP states (include/net/tcp_states.h); UAPI has no header for them. */
#define STATE_ESTABLISHED  1
#define STATE_SYN_SENT     2
#define STATE_TIME_WAIT    6
#define STATE_LISTEN      10

#define PKT_HOST 0

#define IP_OFFSET_MASK 0x1fff
#define IP_MORE_FRAGS  0x2000

/* What became of a packet. Keep in step with netplan_tproxy/datapath.py. */
enum outcome {
	OUT_INTERCEPTED = 0,   /* sent to the proxy */
	OUT_REPLY,             /* the proxy's packet, brought to a device-bound client */
	OUT_NEW,               /* a connection given to the listener */
	OUT_REFUSED,           /* nobody listens: answered with a reset */
	OUT_OTHER_PROTOCOL,    /* not TCP over IPv4 */
	OUT_FORWARDED,         /* on its way from another interface */
	OUT_UNTRACKED,         /* of a connection older than the program, or inbound */
	OUT_BYPASS_MARK,       /* carries the bypass mark */
	OUT_BYPASS_ADDRESS,    /* loopback, link-local, multicast, broadcast, unspecified */
	OUT_MALFORMED,         /* headers cut short or inconsistent */
	OUT_FRAGMENT,          /* a fragment: has no ports to decide by */
	OUT_NO_MEMORY,         /* no socket storage: dropped, the client tries again */
	OUT_NO_LISTENER,       /* the listener went away on the way: dropped */
	OUT_ASSIGN_FAILED,     /* bpf_sk_assign refused: dropped */
	OUT_TIME_WAIT,         /* the tuple is in TIME_WAIT at the proxy: TCP decides */
	OUT_UNCONFIGURED,      /* no config yet: left alone */
	OUT_MAX
};
