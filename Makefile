# SPDX-License-Identifier: GPL-2.0
# make help lists the targets. What is built stays in the tree; kernels and roots
# for the tests are cached outside of it, see selftests/qemu.

KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0
export PREFIX DESTDIR V

MAKEFLAGS += --no-print-directory
RUN := selftests/qemu/run.sh
KERNELS := 6.12 7.3
STRESS_KERNELS ?= $(addsuffix -debug,$(KERNELS))
STRESS_PAIRS ?= all
STRESS_SECONDS ?= 300
ROUNDS ?=

# m, or empty: no blkfd_mountfd.ko, as for a kernel that cannot be patched.
MOUNTFD ?= $(shell cd $(KDIR)/include/config 2>/dev/null && \
	grep -qx CONFIG_LIVEPATCH=y auto.conf && \
	grep -qx CONFIG_KPROBES=y auto.conf && \
	grep -qx CONFIG_IA32_EMULATION=y auto.conf && echo m)

# Headers come without pahole, which nothing here needs.
KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)/kernel CONFIG_BLK_DEV_BLKFD=m \
	CONFIG_BLK_DEV_BLKFD_MOUNTFD=$(MOUNTFD) CONFIG_DEBUG_INFO_BTF_MODULES= \
	$(if $(DESTDIR),INSTALL_MOD_PATH=$(abspath $(DESTDIR)))

help:
	@echo 'make demo           install what is needed, then build an image in a VM'
	@echo 'make check          install what is needed, then all tests on both kernels'
	@echo 'make check-debug    the same on kernels built to find bugs, hours under emulation'
	@echo 'make stress         file systems on devices on file systems, under load, on both of'
	@echo '                    those: 16 pairs, for STRESS_SECONDS each'
	@echo 'make kills          kill builders at ROUNDS (1,000) moments of their run each'
	@echo 'make powerloss      all points of the logs that selftests/powerloss replays, not some'
	@echo 'make fuzz           ten million calls of all sorts, changed at random, hours; with'
	@echo '                    KERNELS=7.3-debug guided by what code they reach'
	@echo 'make faults         what is below devices fails, under load, ROUNDS times (50) a case'
	@echo 'make races          have threads create, mount, resize, close and so on ROUNDS (100,000)'
	@echo '                    devices at once while the module is unloaded and loaded; with'
	@echo '                    KERNELS=7.3-kcsan data races are looked for'
	@echo 'make bench          measure against loop and ublk on both kernels, over half an hour;'
	@echo '                    results go to docs/bench and docs/performance.md'
	@echo 'make bench-quick    is anything over 3 % worse than in docs/bench? some minutes'
	@echo 'make all            module, library, command, examples and tests'
	@echo 'make modules        blkfd.ko and blkfd_mountfd.ko, for KDIR=headers'
	@echo 'make lib            libblkfd, shared and static'
	@echo 'make tools          blkfd and mount.blkfd'
	@echo 'make examples       the example image builders'
	@echo 'make selftests      the test programs; installs what takes the kselftest headers out of'
	@echo '                    the kernel source'
	@echo 'make check-style    checkpatch, kernel-doc, shellcheck, man page lint, house rules'
	@echo 'make check-static   sparse, W=1 and Coccinelle on the modules, for both kernels'
	@echo 'make install        module if built, library, command, man pages'
	@echo 'make uninstall      removes what install put there'
	@echo 'make clean          removes what was built in the tree'
	@echo
	@echo 'Settings: PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) KDIR= V=1'
	@echo 'MOUNTFD=: without blkfd_mountfd.ko, see docs/mountfd.md'
	@echo 'VMS=1: bench and bench-quick with one VM at a time, not one for each processor'
	@echo 'STRESS_KERNELS="$(STRESS_KERNELS)" STRESS_SECONDS=$(STRESS_SECONDS)'
	@echo 'STRESS_PAIRS="xfs-on-ext4 ...": see selftests/stress/stack.sh -h'
	@echo 'NATIVE=1: demo and check use this machine and its kernel, no VM'

all: modules lib tools examples selftests bench-programs

modules:
	@[ -d "$(KDIR)" ] || { echo "make modules: no kernel headers in $(KDIR):" \
		"install linux-headers-$$(uname -r) or give KDIR=" >&2; exit 1; }
	$(KBUILD) modules

lib tools:
	$(MAKE) -C $@

examples selftests: lib
	$(MAKE) -C $@

tools: lib

bench-programs:
	$(MAKE) -C bench

demo:
	$(RUN) -m 3072 -t 1800 -- selftests/demo.sh

# NATIVE=1 has one kernel: this machine's.
check:
	selftests/check.sh $(if $(NATIVE),native,$(KERNELS))

check-debug:
	selftests/check.sh $(addsuffix -debug,$(KERNELS))

bench:
	bench/full.sh $(KERNELS)

bench-quick:
	bench/quick.sh $(KERNELS)

# The time is for making and checking all those file systems, too.
stress:
	for kernel in $(STRESS_KERNELS); do \
		$(RUN) -k $$kernel -m 4096 -t 86400 -- selftests/stress/stack.sh \
			-s $(STRESS_SECONDS) $(STRESS_PAIRS) || exit; \
	done

# The long form of a test program, on each kernel: $(call long,NAME,ROUNDS)
define long
for kernel in $(KERNELS); do \
	$(RUN) -k $$kernel -m 3072 -t 86400 -- env TEST_ROUNDS=$(or $(ROUNDS),$(2)) \
		TEST_LIMIT=86000 selftests/run-all.sh $(1) || exit; \
done
endef

fuzz:
	$(call long,fuzz,10000000)

kills:
	$(call long,kills,1000)

powerloss:
	$(call long,powerloss,100000)

faults:
	$(call long,faults,50)

races:
	$(call long,races,100000)

check-style:
	selftests/check-style.sh

check-static:
	selftests/check-static.sh $(KERNELS)

# Kbuild leaves it out where there is no System.map, as beside Debian's headers.
DEPMOD = depmod "$$(cat $(KDIR)/include/config/kernel.release)"

# Relative, it is from here that it means to begin.
STAGE = DESTDIR=$(abspath $(DESTDIR))

install: lib tools
	$(MAKE) -C lib install $(STAGE)
	$(MAKE) -C tools install $(STAGE)
	$(MAKE) -C man install $(STAGE)
	$(if $(wildcard kernel/blkfd.ko),$(KBUILD) modules_install)
	$(if $(DESTDIR),,$(if $(wildcard kernel/blkfd.ko),$(DEPMOD)))

uninstall:
	$(MAKE) -C lib uninstall $(STAGE)
	$(MAKE) -C tools uninstall $(STAGE)
	$(MAKE) -C man uninstall $(STAGE)
	rm -f $(DESTDIR)/lib/modules/*/updates/blkfd.ko* \
		$(DESTDIR)/lib/modules/*/updates/mountfd/blkfd_mountfd.ko*

clean:
	for dir in lib tools examples selftests bench; do $(MAKE) -C $$dir clean; done
	cd kernel && rm -f $(foreach dir,. mountfd,$(addprefix $(dir)/,*.o *.ko *.mod \
		*.mod.c .*.cmd .*.o modules.order)) Module.symvers

.PHONY: help all modules lib tools examples selftests bench-programs demo check check-debug \
	bench bench-quick stress kills powerloss fuzz faults races check-style check-static \
	install uninstall clean
