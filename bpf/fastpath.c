/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The fast path: a message between a client on this host and the proxy that intercepts it
 * goes straight into the other's receive queue.
 *
 *   client ─ sendmsg ─► fast_msg ─► proxy's queue      fast_sockops: which sockets
 *   client's queue ◄─ fast_msg ◄─ sendmsg ─ proxy
 */
#include "common/kernel.h"
#include "common/flow_key.h"
#include "common/sets.h"
#include "common/socket_verdict.h"
#include "fastpath/config.h"
#include "fastpath/counters.h"
#include "fastpath/pairs.h"
#include "fastpath/claims.h"
#include "fastpath/names.h"
#include "fastpath/enroll.h"
#include "fastpath/leave.h"
#include "fastpath/message.h"

#ifdef WITH_FAST_SOCKOPS
int fast_sockops(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		client_established(ops);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		proxy_established(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		state_changed(ops);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		acknowledged(ops);
		break;
	}
	return 1;   /* goes on, whatever other programs of the cgroup say */
}
#endif

#ifdef WITH_FAST_MSG
int fast_msg(struct sk_msg_md *msg)
{
	return redirect_message(msg);
}
#endif
