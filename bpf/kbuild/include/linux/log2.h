/* SPDX-License-Identifier: GPL-2.0 */
/* Asked for by BCC, used by none of our programs. */
#pragma once
