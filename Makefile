# Everything that a newcomer needs is `make up` and `make test`.
SHELL := /bin/bash
# One target directory and one cargo profile (dev) for build, test, clippy and bench: RocksDB and librdkafka are compiled once.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
CARGO ?= cargo
# Tests at once. End-to-end tests wait most of their time, for a broker or for a deadline: four for each core, and never fewer than eight.
export RUST_TEST_THREADS ?= $(shell n=$$(( 4 * $$(nproc) )); echo $$(( n > 8 ? n : 8 )))
ARGS ?=
# Of `make chaos`.
SCENARIO ?= crash
SEED ?= 1
CYCLES ?=
RESUME ?=

.PHONY: help up test build bench chaos setup
.DEFAULT_GOAL := help

help:
	@echo "make up     set up this machine, build, run hooklog with a local Apache Kafka   (ARGS=\"--json\" passes arguments on)"
	@echo "make test   format, lints, unit, property and end-to-end tests against a real broker"
	@echo "make build  leave the program at bin/hooklog"
	@echo "make bench  measure                                                        (ARGS=\"...\" passes arguments on)"
	@echo "make chaos  faults under load, and what became of it   (SCENARIO=crash|kills|disk-full|silent CYCLES=300 SEED=1 ARGS=\"...\")"
	@echo "make setup  install what this machine lacks, and nothing else               (YES=1 does not ask)"

setup:
	@docker/setup.sh

# Recipes that `up` runs are silent: with --json, stdout belongs to hooklog.
build: setup
	@$(CARGO) build --locked --workspace
	@mkdir -p bin
	@cp -f "$(CARGO_TARGET_DIR)/debug/hooklog" bin/hooklog.new && mv -f bin/hooklog.new bin/hooklog

up: build
	@exec bin/hooklog up $(ARGS)

test: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked $(ARGS)

bench: build
	@"$(CARGO_TARGET_DIR)/debug/hooklog-bench" $(ARGS)

chaos: build
	@"$(CARGO_TARGET_DIR)/debug/hooklog-faults" $(if $(RESUME),resume $(RESUME),$(SCENARIO) --seed $(SEED) $(if $(CYCLES),--cycles $(CYCLES))) $(ARGS)
