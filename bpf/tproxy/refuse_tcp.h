/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* A reset (RFC 9293, 3.10.7.1). `leaves`: by a device, which may fill in its checksum. */
static __always_inline long write_reset(struct __sk_buff *skb, const struct packet *p, bool leaves)
{
	struct tcphdr tcp = {
		.source = p->key.dport,
		.dest = p->key.sport,
		.doff = 5,
		.rst = 1,
	};
	s64 pseudo = sum_pseudo_header(p, sizeof(tcp), IPPROTO_TCP);
	u32 sum;

	if (p->ack) {
		tcp.seq = p->ack_seq;
	} else {
		tcp.ack_seq = bpf_htonl(bpf_ntohl(p->seq) + p->syn);
		tcp.ack = 1;
	}
	sum = bpf_csum_diff(NULL, 0, (void *)&tcp, sizeof(tcp), pseudo);
	/* What a checksum that is still to be filled in begins with is the pseudo header's. */
	tcp.check = leaves ? ~fold_checksum(pseudo) : fold_checksum(sum);
	return bpf_skb_change_tail(skb, p->l4 + sizeof(tcp), 0)
	    || reverse_ip_header(skb, p, sizeof(tcp), IPPROTO_TCP)
	    || bpf_skb_store_bytes(skb, p->l4, &tcp, sizeof(tcp), 0)
	    || (leaves && set_if_complete(skb, p->l4 + TCP_CHECK, tcp.check, sum));
}
