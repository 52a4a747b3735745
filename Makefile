# The README's two commands. `make demo` and `make test` set everything up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 1
JOBS ?= 2

.PHONY: help setup demo run live live-down live-kills faults broker burden test lint types contracts clients kills soak mllp-soak laws bench bench-live hospital real-input accounting fuzz codecs model clean

help: ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.done ## make the virtual environment and install everything into it

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "wardstream needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup ## a simulated ward through the whole service, fast, with a summary
	$(BIN)/wardstream demo --once

run: setup ## the embedded service on ./data, ports 2575 and 8080, until Ctrl-C
	$(BIN)/wardstream run --data-dir data

live: setup broker ## the live service on this machine: Kafka, Redis, gateway, WORKERS=1, learner; until Ctrl-C
	$(BIN)/wardstream live up --workers $(WORKERS)

live-down: setup ## stop what `make live` started, and nothing else
	$(BIN)/wardstream live down

broker: ## fetch the jars of a Kafka broker, which `make live` and the live tests run (needs mvn and java)
	deploy/kafka.sh

lint: setup ## ruff, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict, on every package
	$(BIN)/mypy

contracts: setup ## layers import one way; the core stays pure
	$(BIN)/lint-imports

# Without Maven the tests that need a broker say what to install, and are skipped, or in CI fail.
# First what does not run on the live service, JOBS files at a time; then what does, alone: it watches real clocks.
test: setup lint types contracts ## everything that must hold; JOBS=2 files of tests at a time
	-deploy/kafka.sh
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --ignore tests/live
	$(BIN)/python -m pytest tests/live

clients: setup ## fetch the MLLP clients of others and the broker that tests and benchmarks use (needs mvn, java, node, npm)
	deploy/clients.sh

kills: setup ## kill -9 of the service 200 times under load: nothing acknowledged is lost, outputs are the replay's
	WARDSTREAM_KILLS=200 $(BIN)/python -m pytest -s tests/stream/test_kills.py

# Of workers; a fifth as many again of gateway, learner or worker, under load by MLLP.
live-kills: setup broker ## kill -9 of the live service's processes 360 times under load, 20 zombies: some 20 minutes
	WARDSTREAM_LIVE_KILLS=300 $(BIN)/python -m pytest -s tests/live/test_kills.py

FAULTS := build/faults.ndjson
faults: setup broker ## every fault of the live service once more, counted: writes docs/faults.md
	mkdir -p build && rm -f $(FAULTS)
	WARDSTREAM_FAULTS=$(CURDIR)/$(FAULTS) $(BIN)/python -m pytest tests/live/test_kills.py tests/live/test_faults_*.py tests/live/test_parity.py
	$(BIN)/python -m tests.live.faults_page $(FAULTS) > docs/faults.md

soak: setup ## a simulated month of 400 beds through the whole service: nothing grows without bound
	WARDSTREAM_SOAK_BEDS=400 $(BIN)/python -m pytest -s tests/stream/test_soak.py

MESSAGES ?= 3600000
mllp-soak: clients ## MESSAGES=3600000 (an hour at 1,000 a second) by HAPI, python-hl7 and two of node, lines cut at random
	WARDSTREAM_MLLP_SOAK=$(MESSAGES) $(BIN)/python -m pytest -s tests/clients/test_mllp_soak.py

laws: setup ## a day's messages in any order: 3,000 days a law (some two minutes)
	WARDSTREAM_LAW_EXAMPLES=3000 $(BIN)/python -m pytest tests/stream/test_any_order.py

bench: clients ## speed against named peers in the same run, latency, recovery, memory a patient, replay of ICU data
	$(BIN)/python benchmarks/mllp.py
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/core.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/replay.py

codecs: clients ## the codecs beside python-hl7, hl7apy, HAPI, fhir.resources and HAPI FHIR, in one run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python benchmarks/codec_speed.py

bench-live: setup broker ## the live service end to end on its own Kafka and Redis, 1, 2 and 4 workers, beside a plain Faust app
	$(BIN)/python benchmarks/live.py --layouts 2 1 4 split --peer 2

hospital: setup ## the simulated hospital beside published figures, and its speed: writes docs/hospital.md
	$(BIN)/python benchmarks/hospital.py

burden: setup ## alerts a patient-day, warning and PPV on ICU data and the simulated hospital: writes docs/burden.md
	$(BIN)/python benchmarks/burden.py

accounting: setup ## account for every message of the shared corpora: writes docs/conformance.md
	$(BIN)/python benchmarks/accounting.py

fuzz: setup ## ten million mutated messages over all codecs, some hours; goes on where it was stopped
	nice -n 19 $(BIN)/python benchmarks/fuzz.py

real-input: setup ## replay every shared source and write docs/real-input.md
	$(BIN)/python benchmarks/real_input.py

model: setup ## train the version that ships, anew, from its seed
	rm -rf build/model
	$(BIN)/wardstream models train --out build/model
	rm -f models/shipped/* && mv build/model/* models/shipped/

clean: ## remove what setup and the tests made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
