/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What became of a packet: each way it can go has a counter. OUTCOMES in
 * netplan_tproxy/datapath/programs.py has the same names in the same order. */
enum outcome {
	OUT_INTERCEPTED = 0,   /* sent to the proxy */
	OUT_REPLY,             /* the proxy's packet, redirected to a device-bound client */
	OUT_NEW,               /* a connection, or a UDP flow, given to the listener */
	OUT_REFUSED,           /* nobody listens: answered with a reset or an ICMP error */
	OUT_DOWN_BYPASSED,     /* nobody listens: sent out directly, as the file says */
	OUT_OTHER_PROTOCOL,    /* neither TCP nor UDP over IP */
	OUT_NO_PROXY,          /* no listener is configured for this protocol and family */
	OUT_VLAN,              /* tagged: belongs to a VLAN device */
	OUT_FORWARDED,         /* on its way from another interface */
	OUT_LOCAL,             /* for an address of this host */
	OUT_NOT_FORWARDING,    /* from behind, and this host does not send it on */
	OUT_UNTRACKED,         /* of a flow that is not intercepted, or is older than the programs */
	OUT_NOT_NAMED,         /* `intercept` does not name it */
	OUT_BYPASS_MARK,       /* bypassed by its mark */
	OUT_BYPASS_ADDRESS,    /* loopback, link-local, multicast, broadcast, unspecified */
	OUT_BYPASS_FROM,       /* bypassed by its source network */
	OUT_BYPASS_TO,         /* bypassed by its destination network */
	OUT_BYPASS_PORT,       /* bypassed by its destination port */
	OUT_BYPASS_USER,       /* bypassed by its socket's user */
	OUT_BYPASS_CGROUP,     /* bypassed by its socket's cgroup */
	OUT_MALFORMED,         /* headers cut short or inconsistent: left alone */
	OUT_FRAGMENT,          /* a fragment of nothing to be intercepted: left alone */
	OUT_FRAGMENT_DROPPED,  /* a fragment of what is to be intercepted: dropped */
	OUT_NO_MEMORY,         /* no socket storage: dropped, the client sends again */
	OUT_NO_LISTENER,       /* the listener went away meanwhile: dropped */
	OUT_ASSIGN_FAILED,     /* bpf_sk_assign refused: dropped */
	OUT_TIME_WAIT,         /* the proxy's socket is in TIME_WAIT: it is reset */
	OUT_ICMP,              /* an ICMP error about a packet of the proxy's, given to it */
	OUT_UNCONFIGURED,      /* there is no configuration yet: left alone */
	OUT_OTHER_NAMESPACE,   /* of a socket of another network namespace (macvlan, ipvlan) */
	OUT_PACKET_SOCKET,     /* a frame of a packet socket's */
	OUT_UNREADABLE,        /* the same, and it may be to be intercepted: dropped */
	OUT_TOO_LONG,          /* for a header to be put in front: the client is told how long it may be */
	OUT_NOT_TRANSPARENT,   /* refused or down_bypassed, as who listens is not the proxy */
	OUT_MAX
};

/* Returned in the place of an outcome: nothing is decided yet, the next step decides. It is
 * never counted, and no packet leaves a program with it. */
#define GO_ON 0xffffffff
