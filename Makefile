# The two commands a newcomer needs: `make demo` and `make test`. Everything runs in .venv/, made by `make setup`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BROKER ?= embedded
PYTEST := $(BIN)/python -m pytest

.PHONY: setup demo test test-kafka test-cluster test-cluster-brief chaos bench lint docs constraints clean

setup: .venv/.ready

# Every package is pinned by hash; tidings itself is installed from here, editable.
.venv/.ready: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "tidings needs Python 3.11 or newer on PATH (or make PYTHON=/path/to/python3)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/python -m examples.users_demo --broker $(BROKER)

# Unit, contract and web tests: the in-memory transport, the embedded broker and one real Kafka node. In two
# processes: half of the time is waiting. The tests of a file share a broker, so they stay together.
test: setup
	$(PYTEST) -n 2 --dist loadfile tests --ignore tests/cluster

# What only a real broker can show. KAFKA_TEST_BROKERS=host:port uses one that is already there.
test-kafka: setup
	$(PYTEST) tests/kafka tests/contract

# Outages, on three real brokers, and the long runs.
test-cluster: setup
	$(PYTEST) tests/cluster

# Of these what takes two minutes: without the rows of faults, which take twenty (2 cores).
test-cluster-brief: setup
	$(PYTEST) tests/cluster --ignore-glob '*/test_faults_*'

# A random schedule of faults, the program killed and restarted too; one line of JSON: docs/reliability.md.
SEED ?= 1
MINUTES ?= 5
MODE ?= write-ahead
chaos: setup
	@$(BIN)/python -m tidings.testing.faults.chaos --seed $(SEED) --minutes $(MINUTES) --mode $(MODE)

bench: setup
	$(BIN)/python -m benchmarks.publish
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.consume
	$(BIN)/python -m benchmarks.observe
	$(BIN)/python -m benchmarks.outbox
	$(BIN)/python -m benchmarks.web

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages that are written from the code.
docs: setup
	$(BIN)/python -m tools.configuration
	$(BIN)/python -m tools.contract

# Pins every dependency, with hashes and for every supported platform. Needs uv.
constraints:
	uv pip compile pyproject.toml --all-extras --group dev --group bench --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o constraints.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
