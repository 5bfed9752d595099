/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What the site file says, as ConfigValue (netplan_tproxy/datapath/layouts.py) packs it. */

struct listener {
	u32 addr[4];           /* network order; an IPv4 address in the last word, the others 0 */
	u16 port;              /* network order */
	u16 enabled;
};

struct mark {
	u32 value;
	u32 mask;
};

/* Each number names a set in `sets`; 0: the file does not name this dimension. */
struct policy {
	u64 from;
	u64 to;
	u64 ports;
	u64 bypass_from;
	u64 bypass_to;
	u64 bypass_ports;
	u64 bypass_users;
	u64 bypass_cgroups;
};

#define BYPASS_MARKS 8

#define WHEN_DOWN_DROP   0
#define WHEN_DOWN_BYPASS 1

struct config {
	struct policy policy;
	struct mark intercept;
	struct mark bypass[BYPASS_MARKS];   /* unused ones have mask 0 */
	struct listener listeners[4];       /* tcp, tcp6, udp, udp6 */
	u32 lo;                             /* ifindex of the loopback device */
	u32 when_down;
	u32 epoch;             /* a digest of all above: other verdicts, another number */
	u32 route_mark;        /* what leads out by it alone is forwarded; 0: no mark */
};

/* A hash, not an array: an update replaces the whole element under RCU, so that a packet
 * sees the old configuration or the new one, never half of one. */
BPF_TABLE("hash", u32, struct config, config, 1);
