/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The version of the UAPI headers will do: nothing here depends on it. */
#pragma once
#include_next <linux/version.h>
