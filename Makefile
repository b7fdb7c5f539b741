# The two commands of the README are "make run" and "make check"; everything they need they install themselves.
BUILD ?= build
ARGS ?=

.PHONY: all setup-build run check bench fuzz install deb clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) weir

help:
	@echo "make           the release binary, build/weir"
	@echo "make run       build and start weir on port 8080 with a demo back end"
	@echo "make check     all tests (installs what they need)"
	@echo "make bench     side by side with nginx and HAProxy; writes docs/benchmarks.md"
	@echo "make fuzz      fuzzers; FUZZ_SECONDS=600 for longer"
	@echo "make install   into DESTDIR; clean: remove all builds"
	@echo "make deb       a Debian package, in build-deb/"

$(BUILD)/build.ninja: $(shell tools/sources src; tools/sources test; tools/sources fuzz) meson.build
	@tools/setup build
	@if [ -f $@ ]; then meson setup --reconfigure $(BUILD) >/dev/null; else meson setup $(BUILD) $(ARGS) >/dev/null; fi
	@touch $@

run: all
	@$(BUILD)/weir

check:
	@tools/setup check
	@tools/check

bench: all
	@tools/setup bench
	@bench/run

fuzz:
	@tools/setup fuzz
	@tools/fuzz $(or $(FUZZ_SECONDS),60)

deb:
	@tools/setup build
	@tools/make-deb

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf build build-*
