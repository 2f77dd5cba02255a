#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a reader would object to before reading: checkpatch, kernel-doc, shellcheck,
# the lint of the man pages, and the rules of this house. Prints what it finds.
set -euo pipefail
# shellcheck source=qemu/common.sh
. "$(dirname "$0")/qemu/common.sh"
# shellcheck source=rules.sh
. "$(dirname "$0")/rules.sh"
cd "$tree"

need_host_packages mandoc perl shellcheck
root=$("$here/root.sh")
checkpatch=$root/usr/src/checkpatch/checkpatch.pl

files()
{
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[ ! -e "$file" ] || echo "$file"
	done
}

# files_with ERE PATHSPEC...: where it stands.
files_with()
{
	local expression=$1

	shift
	files "$@" | xargs -r grep -nHE -- "$expression"
}

# What only a patch to the kernel tree must obey is left out, and in compat.h what
# it exists for.
run_checkpatch()
{
	local file ignore

	files '*.c' '*.h' | while read -r file; do
		ignore=CONST_STRUCT
		case $file in
		kernel/compat.h) ignore+=,LINUX_VERSION_CODE,CONSTANT_COMPARISON ;;
		kernel/* | uapi/*) ;;
		selftests/*) ignore+=,SPACING,LINE_SPACING,MACRO_ARG_REUSE ;;&
		*) ignore+=,SPLIT_STRING,ALLOC_WITH_SIZEOF,PREFER_KERNEL_TYPES,ARRAY_SIZE,PREFER_DEFINED_ATTRIBUTE_MACRO,STRCPY,STRNCPY ;;
		esac
		perl "$checkpatch" --no-tree --strict --terse --show-types --quiet \
			--max-line-length=100 --ignore "$ignore" -f "$file" | grep -v '^total:' || true
	done
}

shell_scripts()
{
	files '*.sh' '.ci/run' 'selftests/qemu/init' 'tools/completion/*'
}

run_shellcheck()
{
	shell_scripts | grep -v '/init$' | xargs shellcheck -x -P SCRIPTDIR
}

long_scripts()
{
	local file

	shell_scripts | while read -r file; do
		[ "$(wc -l <"$file")" -le 200 ] || echo "$file: over 200 lines"
	done
}

long_functions()
{
	files '*.c' | xargs awk 'FNR == 1 { start = 0 }
		/^\{/ { start = FNR }
		/^\}/ { if (start && FNR - start > 80)
				print FILENAME ":" start ": function over 80 lines"; start = 0 }'
}

without_spdx()
{
	files '*.c' '*.h' '*.sh' '*.jq' '*.gp' '*Makefile' '*Kbuild' '*Kconfig' 'man/*.[0-9]' \
		'.ci/run' | while read -r file; do
			head -n 3 "$file" | grep -q SPDX-License-Identifier ||
				echo "$file: no SPDX line"
		done
}

lint_man_pages()
{
	files 'man/*.[0-9]' | xargs -r mandoc -T lint -W warning
}

# 7.3's is not among what Debian's headers come with.
run_kernel_doc()
{
	files '*.c' '*.h' | xargs perl "$root"/usr/lib/linux-kbuild-6.12*/scripts/kernel-doc \
		-none -Wall
}

rule checkpatch run_checkpatch
rule kernel-doc run_kernel_doc
rule shellcheck run_shellcheck
rule 'man pages' lint_man_pages
rule 'long scripts' long_scripts
rule 'long functions' long_functions
rule 'SPDX' without_spdx
rule 'conditional compilation in .c' files_with '^#[[:space:]]*if' '*.c'
rule 'version tests outside compat.h' files_with 'LINUX_VERSION_CODE|KERNEL_VERSION\(' \
	'*.c' '*.h' ':!kernel/compat.h'
rule 'notes to self' files_with '\b(TODO|FIXME|XXX|HACK)\b' '*.c' '*.h' '*Makefile'
rule 'addresses' files_with 'https?://' '*.sh' '*.c' '*.h' '*Makefile' '.ci/*' '*packages'
# But for bounded polling, and the moment at which a builder is to be killed.
rule 'sleeps in tests' files_with '\b(u|nano)?sleep\(' 'selftests/*.c' \
	':!selftests/testlib.c' ':!selftests/kills.c'

conclude
