/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Asked for by BCC, used by none of our programs. */
#pragma once
#define PAGE_SIZE 4096
