/* SPDX-License-Identifier: GPL-2.0 */
/* On to the UAPI header. No include guard: this file is found by two search paths. */
#include_next <linux/ip.h>
