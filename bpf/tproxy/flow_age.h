/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* How long a UDP flow without a socket of this host lives: as long as conntrack lets one live.
 * Whether it is answered is not seen everywhere; who goes on for longer than a stream takes to
 * become one is answered, as a rule (nf_conntrack_proto_udp.c). */
#define TICKS(seconds) ((u32)((seconds) * 1000000000ULL >> 30))
#define LIFE_ALONE TICKS(30)
#define LIFE_AS_STREAM   TICKS(120)
#define STREAM_AFTER     TICKS(3)

/* A tick is 1.07 s: a shift is cheaper than a division. */
static __always_inline u32 read_clock(void)
{
	return bpf_ktime_get_ns() >> 30;
}

/* Whether the flow is over: it was idle too long, or other rules hold by now. If it is not, it
 * has been seen now. A local socket's flow is over when the socket is. */
static __always_inline bool is_flow_over(struct flow_verdict *kept, u32 epoch)
{
	u32 now, life;

	if (kept->entry & ~VERDICT_MASK)
		return false;
	if (kept->epoch != epoch)
		return true;
	now = read_clock();
	life = kept->seen - kept->began >= STREAM_AFTER ? LIFE_AS_STREAM : LIFE_ALONE;
	if (now - kept->seen > life)
		return true;
	if (kept->seen != now)
		kept->seen = now;
	return false;
}
