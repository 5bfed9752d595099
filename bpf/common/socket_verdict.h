/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* The numbers never change their meaning: after an upgrade, and when one is taken back,
 * other versions of the programs read what these have stored. */
enum verdict {
	VERDICT_BYPASS = 1,        /* the client's socket: its packets go out directly */
	VERDICT_INTERCEPT,         /* the client's socket: its packets go to the proxy */
	VERDICT_REPLY_TO_DEVICE,   /* the proxy's socket: its client is bound to a device */
	VERDICT_REPLY_ON_LO,       /* the proxy's socket: its client is bound to none */
	VERDICT_SERVES,            /* a UDP socket that has answered somebody outside */
};

/* Lives and dies with a socket: TCP, the client's or the proxy's; UDP, a service's. */
struct socket_verdict {
	u32 daddr[4];              /* where the client's socket connects to */
	u16 dport;
	u16 verdict;
	union {
		u32 settled;       /* INTERCEPT: 1 once the handshake is over on both sides */
		u32 ifindex;       /* REPLY_TO_DEVICE: the client's device */
	};
};
BPF_SK_STORAGE(flows, struct socket_verdict);
