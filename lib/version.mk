# SPDX-License-Identifier: GPL-2.0
# The version of the library, the command and the pages.
VERSION := 0.1.0
