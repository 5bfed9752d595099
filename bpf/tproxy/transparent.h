/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* Whether a socket may have addresses that are not this host's (IP_TRANSPARENT, ip(7)). Only
 * who has CAP_NET_ADMIN or CAP_NET_RAW can make one: as nft's tproxy does, we give packets of
 * others to no other. Without the flag TCP over IPv4 could not even answer.
 *
 * TRANSPARENT_AT, TRANSPARENT_BIT: byte and bit of the flag in struct inet_sock, from the
 * running kernel's BTF; without BTF nothing is demanded. Linux >= 6.2 lets a program read the
 * struct after bpf_rdonly_cast, which user space calls in the place of RDONLY_CAST (its
 * second argument is the struct's number in the BTF); before that bpf_probe_read_kernel has
 * to read it, where lockdown lets it. */
#define RDONLY_CAST 0x7470726f

static __always_inline bool is_transparent(struct bpf_sock *sk)
{
#if defined(INET_SOCK_TYPE)
	void *(*cast)(void *object, u32 type) = (void *)RDONLY_CAST;
	void *inet = cast(sk, INET_SOCK_TYPE);

	return *(volatile u8 *)(inet + TRANSPARENT_AT) >> TRANSPARENT_BIT & 1;
#elif defined(TRANSPARENT_AT)
	/* The verifier adds nothing to a socket's address, but to a number that was read. */
	u64 at = 0, address = (u64)sk;
	u8 flags = 0;

	bpf_probe_read_kernel(&at, sizeof(at), &address);
	bpf_probe_read_kernel(&flags, sizeof(flags), (void *)(at + TRANSPARENT_AT));
	return flags >> TRANSPARENT_BIT & 1;
#else
	return true;
#endif
}
