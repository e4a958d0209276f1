# Everything one does with this project, by name: `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run flask venv test test-long golden env-example lint fmt check bench faults crash soak audit clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The settings of `make run` and `make flask`, where neither the environment nor .env says otherwise: a market that needs
# no network, apart from real bars, on this machine only.
define settings_of_run
	export PATH="$(CURDIR)/$(BIN):$$PATH"
	# The application reads .env itself, beneath the environment, and refuses lines that Flask would skip.
	export FLASK_SKIP_DOTENV=1
	unless_set() { [ -n "$${!1+set}" ] || grep -aEqs "^[[:space:]]*(export[[:space:]]+)?$$1[[:space:]]*=" .env || export "$$1=$$2"; }
	unless_set DATA_PROVIDER simulated
	unless_set HOST 127.0.0.1
	provider=$$(python -m stockapi.cli.preflight provider)
	if [ "$$provider" = simulated ]; then
		unless_set VN_DATABASE_PATH simulated/vn_data.db
		unless_set CRYPTO_DATABASE_PATH simulated/crypto_data.db
		unless_set MARKET_DATA_DIR simulated/market_data
		unless_set CRYPTO_DATA_DIR simulated/crypto_data
	fi
endef

flask: $(VENV)/.runtime  ## A command on the market of `make run`: make flask ARGS=status
	@$(settings_of_run)
	flask --app app $(ARGS)

run: $(VENV)/.runtime  ## Serve on http://127.0.0.1:3000 and keep the stores up to date; Ctrl-C stops
	@$(settings_of_run)
	address=$$(python -m stockapi.cli.preflight address)
	read -r state url port <<< "$$address"
	if [ "$$state" = running ]; then echo "already running at $$url"; exit; fi
	flask --app app db upgrade
	flask --app app data pull --if-empty
	printf '\n%s\n\n' "Try, in another terminal:"
	printf '    curl "%s"\n' "$$url/tickers?symbol=VCB,VNINDEX&limit=3" \
		"$$url/tickers?mode=crypto&symbol=BTC&interval=4h&limit=5&format=csv" "$$url/health"
	printf '\n%s\n' "In a browser: $$url/explorer shows the market, $$url/docs tries out every request."
	if [ "$$provider" = simulated ]; then printf '%s\n' "Commands on this market: make flask ARGS=status"; fi
	printf '\n%s\n\n' "Ctrl-C stops the server and the worker."
	# honcho would put .env above the environment, and has a default port of its own.
	honcho --env /dev/null start --port "$$port" || [ $$? -eq 130 ]

venv: $(VENV)/.dev  ## Make .venv with everything the tests and checks need

test: $(VENV)/.dev  ## Run the tests; ARGS="-k bars" to choose
	@# Much of the time goes by in waiting for servers: one process more than there are cores.
	$(BIN)/python -m pytest --numprocesses $$(( $$(nproc) + 1 )) $(ARGS)

test-long: $(VENV)/.dev  ## Run the long tests, of faults and load on real processes; many minutes
	@$(BIN)/python -m pytest --numprocesses auto -m long $(ARGS)

golden: $(VENV)/.dev  ## Record anew what the API answers, after a change of it that is wanted; then read the diff
	@$(BIN)/python -m tests.golden --write $(ARGS)

env-example: $(VENV)/.dev  ## Write .env.example anew, after a change of the settings
	@$(BIN)/python -m tests.support.env_example

lint: $(VENV)/.dev  ## Check style, format and types
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy stockapi workers app.py

fmt: $(VENV)/.dev  ## Put style and format right
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test-long test  ## lint and all tests

bench: $(VENV)/.dev $(VENV)/.bench  ## Measure against others; see docs/benchmarks.md; ARGS=--quick for half an hour
	@$(BIN)/python -m tests.bench $(ARGS)

faults: $(VENV)/.dev  ## Do to real processes all that docs/reliability.md speaks of; ARGS="--write --minutes 30" keeps the table
	@$(BIN)/python -m tests.faults $(ARGS)

crash: $(VENV)/.dev  ## Kill the writer 300 times while clients check every answer; KILLS=1000 for more
	@$(BIN)/python -m tests.faults crash --kills $(or $(KILLS),300)

soak: $(VENV)/.dev  ## Half an hour of clients, a worker and a fault a minute; MINUTES=5 for less
	@$(BIN)/python -m tests.faults soak --minutes $(or $(MINUTES),30)

audit: $(VENV)/.dev  ## Ask the advisory database about all installed packages; needs the network
	@$(PYTHON) -m venv --clear $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --strict --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" $(ARGS)

clean:  ## Remove .venv and all caches; stored data stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is made again when what it was made from changes.

$(VENV)/.runtime: requirements.txt constraints.txt | $(VENV)/.created
	@echo "Installing requirements.txt into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-parquet.txt requirements-dev.txt constraints.txt | $(VENV)/.created
	@echo "Installing requirements-dev.txt into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

# What the benchmark compares with lives apart: the project depends on none of it.
$(VENV)/.bench: tests/bench/requirements.txt | $(VENV)/.dev
	@echo "Installing tests/bench/requirements.txt into $(VENV)/bench"
	$(BIN)/python -m venv --clear --without-pip $(VENV)/bench
	$(BIN)/python -m pip --python $(VENV)/bench/bin/python install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
	touch $@

$(VENV)/.created:
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=missing
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$version. Name another: make PYTHON=python3.12 run" >&2
		exit 1
	fi
	# Debian and Ubuntu keep what puts pip into a new environment in a package of its own.
	if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then
		$(PYTHON) -m venv --clear $(VENV)
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then
		$(PYTHON) -m venv --clear --without-pip $(VENV)
		$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check pip
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "Installing python$$version-venv with apt-get"
		export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update
		apt-get -qq install --no-install-recommends "python$$version-venv" >/dev/null
		$(PYTHON) -m venv --clear $(VENV)
	else
		echo "python$$version-venv is missing; install it, then run make again: sudo apt-get install python$$version-venv" >&2
		exit 1
	fi
	touch $@
