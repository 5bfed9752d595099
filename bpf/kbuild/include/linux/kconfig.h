/* SPDX-License-Identifier: GPL-2.0 */
/* BCC refuses a kernel without bpf(2). */
#pragma once
#define CONFIG_BPF_SYSCALL 1
