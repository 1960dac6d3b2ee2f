# What a newcomer needs: `make demo` and `make test`. The work is done by cargo and by scripts/.

export PATH := $(CURDIR)/target/tools:$(PATH)
export CARGO_TARGET_DIR := $(CURDIR)/target

crates := -p etcd-locker -p locker-sys -p locker-check
suites := rust sim model c cpp go python chain history scripts current

.PHONY: help demo test torture $(suites:%=test-%) build setup bench bench-quick bench-current check lint fmt header etcd-current clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf 'make %-14s %s\n' 'test-SUITE' 'one test suite: $(suites)'

demo: build ## programs in six languages take turns on one lock, in a real etcd
	@target/debug/locker dev -- scripts/demo

test: build ## every test of every language, then a summary
	@scripts/test

$(suites:%=test-%): test-%: build
	@scripts/test $*

torture: build ## the fault table at full length, and all that takes long (up to 80 minutes); then the table
	@scripts/torture

bench: setup ## how fast it is, measured beside its peers: a table, target/bench.json and pictures (about 20 minutes)
	@benches/run --json target/bench.json

bench-quick: setup ## the first three workloads only, in two minutes once it is built
	@benches/run --quick --json target/bench-quick.json

bench-current: setup ## all of it on the current etcd
	@scripts/etcd-current benches/run --json target/bench-current.json

check: lint test ## what a change must pass: lint, then test

lint: setup ## formatting, clippy, shellcheck; changes nothing
	@scripts/lint

fmt: ## format the Rust and Go sources
	cargo fmt --all
	git ls-files -z -co --exclude-standard '*.go' | xargs -0r gofmt -w

# The examples, as the tests, need more features of the dependencies: without them, all of these were built twice.
build: setup ## for debugging: the library for C, the command, the Python module
	cargo build $(if $(CI),--locked) $(crates) --lib --bins --examples
	@scripts/venv

header: setup ## write include/locker.h anew from locker-sys
	BLESS=1 cargo test -p locker-sys --test header

setup: ## install what is missing; says nothing if all is there
	@scripts/setup

etcd-current: ## build the current etcd that tests/etcd pins, beside Debian's
	@scripts/etcd-current

clean: ## remove everything that was built
	rm -rf target
