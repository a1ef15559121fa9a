# Trireme's commands. `make help` lists them.

CARGO  ?= cargo
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
DATA   ?= .trireme
# Where `make servers lint-tools deploy-tools` install.
export SERVERS_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/trireme/servers
DENY   := $(firstword $(wildcard $(SERVERS_DIR)/cargo-deny) $(shell command -v cargo-deny))
# Images and containers: TAG names the images, WITH the profiles (WITH="mesh canary").
TAG      ?= dev
WITH     ?=
PROGRAMS := user order payment trireme
COMPOSE  := docker compose $(WITH:%=--profile %) $(addprefix --env-file ,$(wildcard $(WITH:%=deploy/compose/%.env)))

.DEFAULT_GOAL := help
.PHONY: help demo run run-servers up down smoke images images-check test test-all test-deploy test-platform servers \
	deploy-tools lint-tools observe drill faults delivery contract clients conformance stress kafka-tls bench bench-compare \
	bench-growth growth profile bench-messaging bench-cache bench-lock bench-live bench-graphql bench-telemetry bench-search lint \
	fmt deny proto advisories doc ci clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Start all three services and tell a real order's story (ONCE=1: verify it and end)
	@$(TARGET)/debug/trireme demo --data $(DATA) $(if $(ONCE),--once)

run: build ## Start all three services on embedded defaults and keep them up
	@$(TARGET)/debug/trireme up --data $(DATA)

run-servers: build ## The same on the installed PostgreSQL, MongoDB, NATS and Redis (make servers)
	@$(TARGET)/debug/trireme up --servers --data $(DATA)

.PHONY: build
build:
	@$(CARGO) build --locked --workspace --bins

images: ## Build the images of the services and of the tool (TAG=dev)
	@commit="$$(git rev-parse HEAD)"; for program in $(PROGRAMS); do \
	docker build -f deploy/Dockerfile -t "ghcr.io/trireme/$$program:$(TAG)" --build-arg SERVICE="$$program" \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)" \
		--build-arg TRIREME_COMMIT="$$commit" \
		--build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" . || exit 1; done

images-check: ## Look at the images and run each of them (TAG=dev)
	deploy/images/check.sh $(TAG)

up: images ## Start the whole system in containers (WITH="mesh canary cluster kafka search observability")
	TAG=$(TAG) $(COMPOSE) up --no-build --detach --wait
	@echo "the shop: http://127.0.0.1:$${GATEWAY_PORT:-8080}/v1/products"

down: ## Stop it; its data stays (docker compose down -v)
	docker compose --profile '*' down

smoke: ## Place an order in it and cancel it (VIA=http://envoy:8080)
	TAG=$(TAG) SMOKE_URL=$(VIA) docker compose run --rm smoke

test: build ## Run every test; says which real servers it did not find
	$(CARGO) test --locked --workspace --no-fail-fast

test-all: ## The same and insist on all that `make servers deploy-tools` installs
	TEST_ALL=1 $(MAKE) test

bench: ## Measure the release binaries, on embedded defaults and on servers, and write docs/performance.md (make servers; 10 minutes)
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example bench

bench-compare: ## Set two runs of `make bench` side by side (A=BEFORE.json B=AFTER.json)
	@$(CARGO) run --quiet --locked --release -p trireme-e2e --example bench -- compare $(A) $(B)

bench-growth: ## Measure the release binaries with ten times as much stored (make servers; 10 minutes)
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example bench -- growth

growth: ## Plant a week of orders and write docs/growth.md: what requests take, what goes, what stays (make servers; 20 minutes)
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example growth

profile: export RUSTFLAGS = -C force-frame-pointers=yes
profile: export CARGO_PROFILE_RELEASE_STRIP = none
profile: export CARGO_PROFILE_RELEASE_DEBUG = line-tables-only
profile: ## Draw a flame graph of each service under SCENARIO (make servers; perf, cargo install inferno)
	$(CARGO) build --locked --release --workspace --bins --target-dir $(or $(CARGO_TARGET_DIR),target)/profile
	$(CARGO) run --locked --release -p trireme-e2e --example bench --target-dir $(or $(CARGO_TARGET_DIR),target)/profile -- profile $(or $(SCENARIO),place)

conformance: ## Run the contract of the bus on every broker and write docs/conformance.md (make servers; 20 minutes)
	TEST_ALL=1 $(CARGO) run --locked -p trireme-backends --example conformance -- $(BROKER) $(CASE)

stress: ## Run the contract of the bus ten times, two at a time (BROKER=nats, kafka or rabbitmq; make servers)
	$(CARGO) test --locked -p trireme-$(or $(BROKER),nats) --no-run
	seq 10 | TEST_ALL=1 xargs -P 2 -I @ $(CARGO) test --locked -p trireme-$(or $(BROKER),nats) --test $(or $(BROKER),nats) contract

kafka-tls: ## Build OpenSSL for Kafka, and try TLS, SCRAM and tokens on a real broker (make servers; perl, make)
	$(CARGO) clippy --locked -p trireme-kafka --all-targets --features tls -- -D warnings
	$(CARGO) test --locked -p trireme-kafka --features tls --lib --test tls

bench-messaging: ## Measure events from outbox to applied on each bus, beside its raw client library (make servers)
	$(CARGO) run --locked --release -p trireme-backends --example bench_messaging

bench-cache: ## Measure the cache beside moka and a raw pooled GET (Redis installed)
	$(CARGO) run --locked --release -p trireme-redis --example bench_cache

bench-lock: ## Measure the lock beside its two raw round trips (Redis installed)
	$(CARGO) run --locked --release -p trireme-redis --example bench_lock

bench-live: ## Measure live events: memory of each of 5,000 WebSockets, and how soon all of them are told
	$(CARGO) bench --locked -p trireme-order --bench live

bench-graphql: ## Measure GraphQL: the same read over REST and GraphQL, and what hostile documents cost
	$(CARGO) bench --locked -p trireme-order --bench graphql

bench-telemetry: ## Measure what telemetry costs: requests with everything on, beside the same with nothing (make observe)
	$(CARGO) bench --locked -p trireme-order --bench telemetry
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example bench -- telemetry

bench-search: ## Measure searches among 100,000 products, in SQLite and on OpenSearch
	$(CARGO) bench --locked -p trireme-order --bench search

lint: ## Formatting, clippy, the dependency rules and the gRPC interfaces
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(MAKE) --no-print-directory deny proto

deny: ## Licences, sources and bans of what we depend on (make lint-tools)
	@if [ -n "$(DENY)" ]; then "$(DENY)" --locked check bans licenses sources; \
	elif [ -n "$$TEST_ALL$$CI" ]; then echo 'cargo-deny is missing: make lint-tools' >&2; exit 1; \
	else echo 'NOT CHECKED: licences, sources and bans. `make lint-tools` installs what checks them.' >&2; fi

proto: ## The gRPC interfaces: their form, and nothing that breaks clients since main (make lint-tools)
	@.ci/proto

advisories: ## Known faults of what we depend on, whose list it fetches (make lint-tools)
	@[ -n "$(DENY)" ] || { echo 'cargo-deny is missing: make lint-tools' >&2; exit 1; }
	@"$(DENY)" --locked check advisories

fmt: ## Format the code
	$(CARGO) fmt --all

doc: ## Build the documentation; a broken link is an error
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --all-features

test-deploy: build ## Charts, gateways, workflows, and two versions behind a real Envoy (make servers deploy-tools)
	TEST_ALL=1 $(CARGO) test --locked --workspace --test chart --test gateway --test mesh
	@$(MAKE) --no-print-directory delivery

test-platform: build images ## What takes long or needs Docker: images, the stack, istioctl, Terraform (.ci/deploy-tools --all)
	deploy/images/check.sh $(TAG)
	deploy/compose/try.sh
	TEST_ALL=1 TEST_PLATFORM=1 $(CARGO) test --locked --workspace --test chart
	deploy/checks/cluster.sh
	deploy/gateway/check.sh
	TEST_ALL=1 deploy/checks/terraform.py

servers: ## Install the real servers that tests can use
	@.ci/servers

lint-tools: ## Install what checks the dependencies and the interfaces
	@.ci/lint-tools

deploy-tools: ## Install what checks the deployment
	@.ci/deploy-tools

observe: ## Install what `trireme up --observe` starts: the collector, Prometheus and Jaeger (Go; 10 minutes, once)
	@.ci/deploy-tools --observe

drill: ## Break one thing after the other, and see which alert fires after how long (INCIDENT=payment; 40 minutes)
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example drill -- $(INCIDENT)

faults: ## Bring about one fault after the other under load, and write what it cost to docs/faults.md (FAULT=password SECONDS=10; 50 minutes)
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p trireme-e2e --example faults -- $(SECONDS) $(FAULT)

delivery: ## Check the workflows, what makes a release, and what watches the system
	deploy/checks/workflows.py
	deploy/checks/release_test.sh
	deploy/checks/monitoring.sh
	deploy/checks/dashboards.py

contract: build ## Hold the interfaces to their descriptions, and those to what was promised (make lint-tools)
	.ci/contract/documents
	.ci/contract/run

ci: export TEST_ALL = 1
clients: build ## Place orders with clients that others wrote: a browser, GraphQL, gRPC-Web, WebSocket (make lint-tools)
	.ci/clients/run

ci: lint doc test-all kafka-tls delivery contract clients ## What runs before a change lands

clean: ## Remove build output and the demo's data
	$(CARGO) clean
	rm -rf $(DATA)
