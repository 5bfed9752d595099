/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* BCC refuses a kernel without bpf(2). */
#pragma once
#define CONFIG_BPF_SYSCALL 1
