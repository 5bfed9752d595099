/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

#include <linux/in.h>

/* <sys/socket.h> has these, and is no header for a kernel program. The states of a TCP
 * socket (BPF_TCP_LISTEN and so on) come with BCC's own <linux/bpf.h>. */
#define AF_INET   2
#define AF_INET6 10
#define AF_PACKET 17
#define SOCK_STREAM 1
#define SOCK_RAW 3
