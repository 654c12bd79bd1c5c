# Bare `make` prints this help. Everything runs in .venv; nothing is installed outside the checkout.
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --quiet --custom-compile-command "make lock"
# Bytecode is kept whatever the environment says: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test check faults format lint types imports deps bench lock docs clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with locked dependencies; the command is then .venv/bin/auto-insurance

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PY) -c 'import sys; v = sys.version_info; sys.exit(f"Python 3.11 or newer is needed, this is {v.major}.{v.minor}; set PY=...") if v < (3, 11) else None'
	@test -x $(BIN)/python || $(PY) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: setup ## Start everything on embedded engines with a simulated demo fleet (Ctrl-C stops it, data stay in .data)
	@$(BIN)/auto-insurance up --demo

test: setup ## Run all tests in parallel with coverage (floor: 90 % of branches)
	@rm -rf .cache/measured && mkdir -p .cache/measured
	@MEASURE_TO=.cache/measured $(BIN)/python -m pytest -p tools.measured -n 3 --dist worksteal --durations=25
	@$(BIN)/python -m slipcover --branch --merge .cache/measured/*.json --out .cache/measured.json --skip-covered --fail-under 90 \
		| tail -n 40

check: setup format-check lint types imports deps test ## What CI runs: format, lint, types, import rules, dependencies, tests

faults: setup ## Break things while it runs, on both engines (FAULTS_REPEAT=3 for three rounds); writes docs/reliability.md
	@mkdir -p .cache && rm -f .cache/faults.jsonl
	@FAULTS_ROWS=$(CURDIR)/.cache/faults.jsonl $(BIN)/python -m pytest -m "faults or slow" -n 2 --dist worksteal --durations=20 tests/pipeline
	@FAULTS_ROWS=/dev/null $(BIN)/python -m pytest -m faults -n 2 --dist worksteal tests --ignore tests/pipeline/test_faults.py
	@$(BIN)/python -m tools.reliability .cache/faults.jsonl

.PHONY: format-check
format-check: setup
	@$(BIN)/ruff format --check --quiet . || (echo "run 'make format'" && false)

lint: setup
	@$(BIN)/ruff check --quiet .

types: setup
	@$(BIN)/mypy

imports: setup
	@PYTHONPATH=. $(BIN)/lint-imports

deps: setup
	@$(BIN)/deptry src

format: setup ## Format the code and mend what can be mended
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

docs: setup ## Regenerate docs/reference from the code
	@PYTHONPATH=. $(BIN)/python -m tools.reference

bench: setup ## Run the benchmarks (each prints a ratio against a limit measured in the same run)
	@$(BIN)/python -m benchmarks

lock: ## Renew the pinned locks after a change of dependencies in pyproject.toml
	@$(UV_COMPILE) --output-file requirements/runtime.txt
	@$(UV_COMPILE) --group dev --extra training --extra tracing --output-file requirements/dev.txt
	@grep -A 60 '^uv==' requirements/dev.txt | awk '/^[a-z]/ && NR > 1 {exit} /^    #/ {next} {print}' > requirements/uv.txt

clean: ## Remove build products and caches; keeps .data and .venv
	@rm -rf dist build htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
