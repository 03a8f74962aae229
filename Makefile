# What one does here. Each command sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help

# Where cargo puts the binaries.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# rustup may be newer than this shell, and adds itself to new ones only.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.PHONY: help
help: ## List these commands
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

BUF := .node/node_modules/.bin/buf

.PHONY: run
run: ## Build and serve with the starter dataset and the shipped plugins, on SQLite
	scripts/setup run
	cargo build -p cqar
	plugins/build shipped
	$(TARGET)/debug/cqar serve --starter

# The binaries and the tests are built by one command, so that both share one set of features and one build.
.PHONY: test
test: ## Run every test, against real PostgreSQL, Redis, NATS and plugins
	scripts/setup test
	plugins/build shipped
	plugins/build testing
	cargo build --locked --workspace --bins --tests
	cargo test --locked --workspace
	cd plugins && cargo test --locked --workspace

.PHONY: test-full
test-full: ## Run every test, and those that take minutes as well
	scripts/setup test
	plugins/build shipped
	plugins/build testing
	cargo build --locked --workspace --bins --tests
	cargo test --locked --workspace -- --include-ignored
	cd plugins && cargo test --locked --workspace

.PHONY: lint
lint: ## Check formatting, lints, the contract and documentation; warnings are errors
	scripts/setup lint
	cd proto && ../$(BUF) format --diff --exit-code --path cqar
	cd proto && ../$(BUF) lint
	cd proto && ../$(BUF) breaking --against released/cqar.v1.binpb
	cargo fmt --all --check
	cd plugins && cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd plugins && cargo clippy --locked --workspace --all-targets -- -D warnings
	cd plugins && cargo clippy --locked --workspace --target wasm32-wasip2 -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

.PHONY: bench
bench: ## Measure against the floor server; the table goes to target/bench/
	scripts/setup bench
	plugins/build shipped
	plugins/build testing
	cargo build --locked --release -p cqar -p cqar-bench
	$(TARGET)/release/cqar-bench

.PHONY: bench-million
bench-million: ## Fill each database with a million markets, and measure; takes ten minutes; the table goes to target/bench/
	scripts/setup bench
	plugins/build testing
	cargo build --locked --release -p cqar -p cqar-bench
	$(TARGET)/release/cqar-bench million

.PHONY: build
build: ## Build the host
	scripts/setup run
	cargo build --workspace

.PHONY: plugins
plugins: ## Build the shipped plugins into target/plugins/, from where a running server takes them
	scripts/setup run
	plugins/build shipped

.PHONY: release-contract
release-contract: ## Keep the contract as it is: later ones must not break its clients
	scripts/setup lint
	cd proto && ../$(BUF) breaking --against released/cqar.v1.binpb
	cd proto && ../$(BUF) build --exclude-source-info -o released/cqar.v1.binpb

.PHONY: docs
docs: ## Write docs/configuration.md anew from the table of settings
	cargo run -q -p cqar -- config docs > docs/configuration.md

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all
	cd plugins && cargo fmt --all

.PHONY: setup
setup: ## Install what is missing to run, lint and test
	scripts/setup lint
	scripts/setup test

.PHONY: migrate-up
migrate-up: ## Bring the configured database to the newest schema
	cargo run -q -p cqar -- migrate up

.PHONY: migrate-down
migrate-down: ## Take the configured database's newest migration back
	cargo run -q -p cqar -- migrate down
