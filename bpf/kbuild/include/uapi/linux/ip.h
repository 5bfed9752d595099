/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* On to the UAPI header. No include guard: this file is found by two search paths. */
#include_next <linux/ip.h>
