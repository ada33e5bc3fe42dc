# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What can be made; `make help` lists it. Everything is built and run inside a
# build root that tools/build-root sets up, on kernels that tools/kernel builds;
# both are kept in a cache outside the checkout. Only `make modules KDIR=...` uses
# the host's own compilers.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# A kernel that Debian has as linux-source-VERSION.
KERNEL_VERSION ?= 7.2
export KERNEL_VERSION

# For `make install`.
DESTDIR ?=
PREFIX ?= /usr

.PHONY: help env kernel modules daemon demo test kunit conformance scale check shell bench doc install clean preflight

help: ## list the targets
	@echo 'hmdfs: make TARGET'
	@sed -n 's/^\([a-z]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r target text; do \
		printf '  %-11s %s\n' "$$target" "$$text"; done
	@echo 'Variables'
	@echo '  KERNEL_VERSION=7.2  the kernel that is built'
	@echo '  HMDFS_CACHE=DIR     where the build root and the kernels are kept (~/.cache/hmdfs)'
	@echo '  HMDFS_MIRROR=URL    the Debian mirror (the one that apt uses here)'
	@echo '  HMDFS_ACCEL=tcg     emulate the guests (kvm: virtualize; default: what works)'

preflight:
	@tools/preflight

env: preflight ## set up the build root: compilers, emulator, programs of the guest
	@tools/build-root

kernel: preflight ## build both kernels, production and debug
	@tools/kernel production
	@tools/kernel debug

# A kernel that clang built needs modules that clang built.
kdir_llvm = $(if $(shell grep -sx CONFIG_CC_IS_CLANG=y $(KDIR)/.config),LLVM=1)

ifdef KDIR
modules: ## build hmdfs.ko; KDIR=DIR: for that kernel's build tree, with the host's compilers
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(kdir_llvm) modules
else
modules: preflight
	@tools/module production
endif

daemon: preflight ## build hmdfsd, hmdfsctl and mount.hmdfs
	@tools/daemon

demo: preflight ## show three devices that read each other's files; VMS=1: two kernels, one dies
	@tools/demo $(if $(filter 1,$(VMS)),--vms)

test: preflight ## run every test, on the debug kernel
	@tools/test

kunit: preflight ## run the tests inside the kernel module
	@tools/kunit

conformance: preflight ## run what others have written to check file systems (fio, pjdfstest, ...); half an hour
	@tools/conformance

scale: preflight ## run the tests of many files with a million of them, on the production kernel
	@tools/scale

check: preflight ## formatting, lints, documentation, specification: nothing may be reported
	@tools/check

shell: preflight ## a guest with three devices and a prompt
	@tools/demo --shell

bench: preflight ## measure, beside other file systems; QUICK=1: some minutes; ONLY='local' or other names: a part
	@tools/bench $(if $(filter 1,$(QUICK)),--quick) $(if $(filter 1,$(RESUME)),--resume) $(if $(ONLY),--only '$(ONLY)')

doc: preflight ## the programming interface's documentation, into build/doc
	@tools/doc

install: ## install the module, the programs and their manual pages below DESTDIR
	@tools/install '$(DESTDIR)' '$(PREFIX)' '$(KDIR)'

clean: ## remove what was built in the checkout; the cache stays
	@rm -rf build
