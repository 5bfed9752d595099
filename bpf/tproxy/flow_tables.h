/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What is remembered of flows beside `flows`, the storage of TCP sockets. User space creates
 * the maps (netplan_tproxy/datapath/layouts.py); what stands here gives their layouts. */

/* Verdicts of what no local TCP socket can hold: UDP flows, and forwarded TCP connections. A
 * full table forgets the least recently used: a UDP flow is then decided again, and of a TCP
 * connection the proxy's socket is found. */
#define VERDICT_MASK 3u
struct flow_verdict {
	u32 entry;    /* an enum verdict, and the UDP socket's cookie above it (VERDICT_MASK) */
	u32 epoch;    /* of the configuration that decided */
	u32 began;    /* in ticks of the clock (flow_age.h) */
	u32 seen;     /* its last datagram; of a local socket's flow the first */
	u32 doubtful; /* it may be the answer to a visitor that was forgotten (visitors.h) */
};
BPF_TABLE("lru_hash", struct flow_key, struct flow_verdict, tracked, 65536);

/* UDP flows that somebody outside began, seen from this host, and when he last sent something
 * (flow_age.h): the answers are no flows of ours. Apart from `tracked`, so that a flood from
 * outside evicts none of those. */
BPF_TABLE("lru_hash", struct flow_key, u32, inbound, 65536);

/* The device that replies to a client must arrive on, where the client is bound to one; the
 * key is seen from the client. Holds a TCP connection until the proxy's socket has it in
 * `flows`, and for its last packets, when both sockets may be gone; and UDP flows. Every
 * packet of a device-bound client puts an evicted entry back.
 *
 * GOES_OUT is no device: a connection that goes out directly has the tuple now, while the
 * proxy still has a socket of the one before it. */
#define GOES_OUT 0
BPF_TABLE("lru_hash", struct flow_key, u32, replies, 65536);

/* TCP connections of clients that are bound to no device, as digests (recent.h). What falls
 * into a slot replaces what was there. The first and the last packets of a client write it:
 * a store, where an LRU table takes a lock and a node off a list, which is a fortieth of the
 * cost of a short connection. */
BPF_TABLE("array", u32, u64, recent, 65536);

/* Datagrams whose first fragment was dropped, so that the later fragments are dropped too. */
struct fragment_key {
	u32 saddr[4];
	u32 daddr[4];
	u32 id;
	u32 proto;
};
BPF_TABLE("lru_hash", struct fragment_key, u32, fragments, 4096);
