/* SPDX-License-Identifier: GPL-2.0 */
/* The version of the UAPI headers will do: nothing here depends on it. */
#pragma once
#include_next <linux/version.h>
