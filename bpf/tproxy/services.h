/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a UDP socket has ever answered a visitor. The table of visitors may forget one while
 * others come: what such a socket then sends him looks like a flow that begins here. It is one
 * until he asks again, or until the proxy answers it. Nobody can make a client's socket such
 * a one, as it does not answer him. */
static __always_inline bool serves_visitors(struct bpf_sock *sk)
{
	struct socket_verdict *kept = flows.sk_storage_get(sk, 0, 0);

	return kept && kept->verdict == VERDICT_SERVES;
}

static __always_inline void remember_service(struct bpf_sock *sk)
{
	struct socket_verdict *kept;

	kept = flows.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept)
		kept->verdict = VERDICT_SERVES;
}

/* The proxy answers a flow, seen from the client: it began here. */
static __always_inline void confirm_flow(const struct flow_key *client)
{
	struct flow_verdict *kept = tracked.lookup((void *)client);

	if (kept && kept->doubtful)
		kept->doubtful = 0;
}
