/* SPDX-License-Identifier: GPL-2.0 */
/* BCC brings its own. */
#pragma once
