/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else by make check-static: what Linux 7.3's headers use and
 * Debian 13's sparse does not know. The second is for literals in MODULE_INFO();
 * sparse believes it of pointers, too, and does not mind their length.
 */
#define __typeof_unqual__ __typeof__
#define __builtin_strlen(string) (sizeof(string) - 1)
