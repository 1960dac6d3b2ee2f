# What a newcomer needs: `make demo` and `make test`. The work is done by cargo and by scripts/.

export PATH := $(CURDIR)/target/tools:$(PATH)
export CARGO_TARGET_DIR := $(CURDIR)/target

crates := -p etcd-locker -p locker-sys
suites := rust c cpp go python scripts current

.PHONY: help demo test $(suites:%=test-%) build build-tests setup check lint fmt header etcd-current clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf 'make %-14s %s\n' 'test-SUITE' 'one test suite: $(suites)'

demo: build ## programs in five languages take turns on one lock, in a real etcd
	@scripts/demo

test: build-tests ## every test of every language, then a summary
	@scripts/test

$(suites:%=test-%): test-%: build-tests
	@scripts/test $*

check: lint test ## what a change must pass: lint, then test

lint: setup ## formatting, clippy, shellcheck; changes nothing
	@scripts/lint

fmt: ## format the Rust and Go sources
	cargo fmt --all
	git ls-files -z -co --exclude-standard '*.go' | xargs -0r gofmt -w

build: setup ## the library for C and the command, for debugging
	cargo build $(crates)

# Together with the tests' programs: the tests need more features of the dependencies, which would else be built twice.
build-tests: setup
	cargo build $(crates) --lib --bins --tests

header: setup ## write include/locker.h anew from locker-sys
	BLESS=1 cargo test -p locker-sys --test header

setup: ## install what is missing; says nothing if all is there
	@scripts/setup

etcd-current: ## build the current etcd that tests/etcd pins, beside Debian's
	@scripts/etcd-current

clean: ## remove everything that was built
	rm -rf target
