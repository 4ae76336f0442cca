# The front door. Every target first runs `setup`, which looks for what it needs (0.1 s) and installs what is missing.

CARGO ?= cargo
# Tests run optimised but with overflow checks and debug assertions; the dependencies are those of `make build`.
CHECKED := --release --config tests/checked.toml
# Packages outside the workspace.
EXAMPLES := $(patsubst %/Cargo.toml,%,$(wildcard examples/*/Cargo.toml))
EXAMPLE_PLUGINS := $(foreach e,$(EXAMPLES),$(if $(shell grep -l cdylib $(e)/Cargo.toml),$(e)))
OUTSIDE := $(EXAMPLES) tests/guests/deepflow
# The plugins that prove the contract's shapes.
TEST_PLUGINS := $(patsubst %/Cargo.toml,%,$(wildcard tests/plugins/*/Cargo.toml))
CAPTURES = $(foreach p,$(notdir $(wildcard plugins/*)),$(wildcard tests/captures/$(p)/*.pcap))
FUZZ_SECONDS ?= 30

.PHONY: help setup plugins example-plugins test-plugins header guests conformance build demo test test-bpf test-kernel-6.1 bench-bpf matrix soak e2e bench bench-parts instructions fmt fmt-check clippy doc fuzz clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Install what is missing: libpcap, a C compiler, the Wasm target
	@.ci/setup.sh

plugins: setup ## Build every plugin in plugins/ to target/plugins/NAME.wasm
	@.ci/plugins.sh target/plugins plugins/*

example-plugins: setup ## Build the example plugins to target/example-plugins/NAME.wasm
	@.ci/plugins.sh target/example-plugins $(EXAMPLE_PLUGINS)

test-plugins: setup ## Build the plugins of tests/plugins/ to target/test-plugins/NAME.wasm
	@.ci/plugins.sh target/test-plugins $(TEST_PLUGINS)

header: setup ## Write the contract for plugins in C to target/include/protap_plugin.h
	@.ci/header.sh target/include

guests: setup ## Build the plugins of tests/guests/ and tests/frozen/
	@.ci/setup.sh guests
	@.ci/guests.sh tests/guests/c target/guests
	@.ci/deepflow-guests.sh target/deepflow-guests
	@for v in $(notdir $(wildcard tests/frozen/*.*[0-9])); do \
		.ci/guests.sh tests/frozen/$$v target/frozen/$$v || exit; done

conformance: setup ## Check PLUGIN=x.wasm (and CAPTURE=y.pcap) against the contract, a line per check
	@test -n "$(PLUGIN)" || { echo 'usage: make conformance PLUGIN=x.wasm [CAPTURE=y.pcap]' >&2; exit 2; }
	@$(CARGO) build --quiet $(CHECKED) --workspace --all-features --bins
	@$${CARGO_TARGET_DIR:-target}/release/conformance "$(PLUGIN)" $(if $(CAPTURE),"$(CAPTURE)")

build: setup ## Build target/release/protap
	$(CARGO) build --release -p protap

demo: build plugins ## Replay the recorded traffic in tests/captures/ through the plugins
	@.ci/demo.sh $(CAPTURES)

test: plugins example-plugins test-plugins guests ## Run all tests
	$(CARGO) build $(CHECKED) --workspace --all-features --bins --tests
	$(CARGO) test $(CHECKED) --workspace --all-features --no-fail-fast
	$(CARGO) test --manifest-path tests/guests/deepflow/Cargo.toml --target-dir target/outside

matrix: plugins example-plugins test-plugins ## Hold every plugin's probe against other protocols and random heads
	$(CARGO) build --release --workspace --all-features --bin matrix
	$${CARGO_TARGET_DIR:-target}/release/matrix

soak: plugins ## Give each plugin MESSAGES (10,000,000) of recorded traffic, and fail if its memory grows
	$(CARGO) build --release --workspace --all-features --bin soak
	$${CARGO_TARGET_DIR:-target}/release/soak $(MESSAGES)

e2e: build plugins ## Drive real servers with real clients under `protap live`; needs the network and the right to capture
	@.ci/e2e.sh

test-bpf: plugins ## Run the tests of trace and hold it against packet captures: needs root, BPF, network namespaces
	@.ci/setup.sh bpf
	$(CARGO) build $(CHECKED) --workspace --all-features --bins --tests
	$(CARGO) test $(CHECKED) --workspace --all-features --test e2e trace:: -- --nocapture --test-threads 1
	@.ci/parity.sh

test-kernel-6.1: build plugins ## Run trace on Debian 12's kernel, in qemu
	@.ci/kernel-6.1.sh

bench-bpf: build plugins ## Print what trace costs the programs that it watches, and the others
	@.ci/bench-bpf.sh

bench: build plugins ## Measure what is promised about speed, against its peers, into docs/performance.md; QUICK=1 is short
	@.ci/setup.sh bench
	$(CARGO) bench --workspace --all-features --bench performance -- $(PART)

bench-parts: plugins ## Time the parts: a call, reassembly, output
	$(CARGO) bench --workspace --all-features --bench emit --bench plugin_call --bench reassembly --bench replay

instructions: plugins ## Count the instructions of a call and of a replay, and hold them against their limits
	@.ci/instructions.sh

fmt: ## Format the sources
	$(CARGO) fmt --all
	@for e in $(OUTSIDE); do $(CARGO) fmt --manifest-path $$e/Cargo.toml || exit; done

fmt-check: ## Check the format of the sources
	$(CARGO) fmt --all --check
	@for e in $(OUTSIDE); do $(CARGO) fmt --check --manifest-path $$e/Cargo.toml || exit; done

clippy: setup ## Lint everything; warnings are errors
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	@for e in $(OUTSIDE); do \
		$(CARGO) clippy --manifest-path $$e/Cargo.toml --target-dir target/outside --all-targets -- -D warnings || exit; done
	@# Nothing is linked, so libFuzzer itself need not be built, which takes a C++ compiler.
	CUSTOM_LIBFUZZER_PATH=/none/libnone.a $(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml \
		--target-dir $${CARGO_TARGET_DIR:-target} --bins -- -D warnings

doc: setup ## Build the API documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

fuzz: setup ## Fuzz each target for FUZZ_SECONDS (30); needs nightly Rust and cargo-fuzz
	@.ci/fuzz.sh $(FUZZ_SECONDS)

clean: ## Remove everything that was built
	$(CARGO) clean
