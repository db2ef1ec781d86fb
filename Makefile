# Everything starts from a fresh clone: each target makes .venv if it is not there.
.DEFAULT_GOAL := help
.PHONY: help install run example-table experiment compile test test-fast test-nightly test-next image-test kubeflow-test engine-test lint types contracts coverage format bench bench-next bench-loaders soak fuzz dist docs clean

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

# With bytecode written once, importing TFX takes 6 s instead of 17 s.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONNOUSERSITE := 1
export TF_CPP_MIN_LOG_LEVEL := 2

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  Options of make run: DATA=dir LABEL=feature IMAGE=feature TARGET=sqrt RUNS=dir ARGS="..."'
	@echo '  Options of make compile: ROOT=gs://... IMAGE_URI=image LABEL= IMAGE= OUT=dir ARGS="..."'

install: $(INSTALLED) ## Make .venv with the newest TFX here (or TFX=1.16), pinned
	@$(if $(TFX),$(PYTHON) -c 'from importlib.metadata import version; tfx = version("tfx"); \
	  tfx.startswith("$(TFX).") or exit(f"error: $(VENV) has TFX {tfx}, not $(TFX). Remove $(VENV) first.")')

# uv installs in half a minute what pip needs minutes for; pip only fetches uv. TFX
# itself needs pip in the environment, to install a Trainer's module_file.
$(INSTALLED): pyproject.toml $(wildcard constraints/*.txt)
	test -x $(PYTHON) || { make=$$(tools/choose_python.sh $(TFX)) && $$make $(VENV); }
	pins=constraints/$$($(PYTHON) -c 'import sys; print("python%d.%d.txt" % sys.version_info[:2])') && \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint $$pins uv && \
	$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --constraint $$pins --editable '.[tfx,kfp,dev]'
	@touch $@

run: $(INSTALLED) ## Demo data (or DATA=dir) to a trained, evaluated, pushed model
	@$(PYTHON) -m pipelines.run_local \
	  $(if $(DATA),--data '$(DATA)') $(if $(LABEL),--label-key '$(LABEL)') \
	  $(if $(IMAGE),--image-key '$(IMAGE)') $(if $(TARGET),--target '$(TARGET)') \
	  $(if $(RUNS),--runs '$(RUNS)') $(ARGS)

example-table: $(INSTALLED) ## Folders of images to a table, a balanced generator and a model
	@$(PYTHON) -m examples.table_generator --out '$(or $(OUT),runs/example-table)' $(ARGS)

experiment: $(INSTALLED) ## What resampling gains and what not: arms, seeds, a table, a figure
	@$(PYTHON) -m examples.experiment.run --out '$(or $(OUT),runs/experiment)' $(ARGS)

ROOT ?= gs://my-bucket/tfx-resampling
IMAGE_URI ?= tfx-resampling:dev

compile: $(INSTALLED) ## Compile for Kubeflow Pipelines and Vertex AI, offline
	@TF_CPP_MIN_LOG_LEVEL=3 $(PYTHON) -m pipelines.kfp.compile --pipeline-root '$(ROOT)' \
	  --image '$(IMAGE_URI)' \
	  --output '$(or $(OUT),runs/compiled)/pipeline.yaml' \
	  --output '$(or $(OUT),runs/compiled)/pipeline.json' \
	  $(if $(LABEL),--label-key '$(LABEL)') $(if $(IMAGE),--image-key '$(IMAGE)') $(ARGS)

test: $(INSTALLED) ## The test suite: 12 minutes on two cores
	$(PYTHON) -m pytest --tier suite -n 4

test-fast: $(INSTALLED) ## Tests of every module in two minutes; no pipelines
	$(PYTHON) -m pytest --tier fast -n 3

test-nightly: $(INSTALLED) ## The tests that take too long for the suite
	$(PYTHON) -m pytest --tier nightly

test-next: ## The fast tests and a pipeline on the newest TFX, in Debian 13 (root)
	tools/test_next.sh make test-fast
	tools/test_next.sh .venv/bin/python -m pytest tests/pipelines/test_second_import.py \
	  tests/pipelines/test_run_local.py -k 'not own_records and not offline'

image-test: $(INSTALLED) ## Build the container images without a registry (root, buildah)
	$(PYTHON) -m pytest tests/kubeflow/image.py

# KFP_SOURCE names a checkout of kubeflow/pipelines, see docs/kubeflow.md; what is
# missing is said in the end.
kubeflow-test: $(INSTALLED) ## Kubeflow's own backend, and gs:// by a server on this machine
	$(if $(KFP_SOURCE),KFP_SOURCE='$(abspath $(KFP_SOURCE))') \
	  $(if $(KFP_BACKEND),KFP_BACKEND='$(abspath $(KFP_BACKEND))') \
	  $(PYTHON) -m pytest -rs tests/kubeflow/test_workflow.py tests/kubeflow/test_backend.py tests/kubeflow/test_gcs.py

# What is missing is said at once; the first time downloads 0.8 GB, see docs/engines.md.
engine-test: $(INSTALLED) ## Beam's steps on Flink and Spark clusters that it starts (java, mvn)
	$(PYTHON) -m tests.beam.engines.downloads
	$(PYTHON) -m tests.beam.engines.machines \
	  $(PYTHON) -m pytest -rs tests/beam/engines

lint: types contracts ## Check style, format, types and which folder imports which
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(INSTALLED) ## Check the types
	$(PYTHON) -m basedpyright

contracts: $(INSTALLED) ## Check which folder imports which
	$(VENV)/bin/lint-imports --no-cache

coverage: $(INSTALLED) ## Lines that the tests of core, fitting, records, decision and stream run
	$(PYTHON) -m pytest --tier suite -n 3 --cov --cov-report term-missing:skip-covered \
	  tests/core tests/fitting tests/records tests/decision tests/stream

format: $(INSTALLED) ## Format the code
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench: $(INSTALLED) ## Speed of the input pipeline beside its peers, and of a fit
	$(PYTHON) -m tests.benchmarks.bench_input
	$(PYTHON) -m tests.benchmarks.bench_input --records 40000 --record-bytes 8500 --readers-only
	$(PYTHON) -m tests.benchmarks.bench_input --gzip --readers-only
	$(PYTHON) -m tests.benchmarks.bench_decode
	$(PYTHON) -m tests.benchmarks.bench_start
	$(PYTHON) -m tests.benchmarks.bench_memory
	$(PYTHON) -m tests.benchmarks.bench_resampler
	$(PYTHON) -m tests.benchmarks.bench_resampler --gzip
	$(PYTHON) -m tests.benchmarks.bench_fit
	$(PYTHON) -m tests.benchmarks.bench_closest
	$(PYTHON) -m tests.benchmarks.bench_generator

# By turns, so that whatever else the machine does is the same for both.
bench-next: $(INSTALLED) ## Speed of the input here and on the newest TFX, in Debian 13 (root)
	tools/test_next.sh make install
	for round in 1 2 3; do for there in '' tools/test_next.sh; do \
	  $$there $(PYTHON) -m tests.benchmarks.bench_input --readers-only --rounds 3 && \
	  $$there $(PYTHON) -m tests.benchmarks.bench_start || exit 1; \
	done; done

LOADERS := .venv-loaders

bench-loaders: $(INSTALLED) ## Speed beside PyTorch's DataLoader and grain (2 GB of packages)
	test -x $(LOADERS)/bin/python || { \
	  $(PYTHON) -m uv venv --quiet --python $(PYTHON) $(LOADERS).new && \
	  $(PYTHON) -m uv pip install --quiet --python $(LOADERS).new/bin/python \
	    --requirement tests/benchmarks/loaders.txt && mv $(LOADERS).new $(LOADERS); }
	$(PYTHON) -m tests.benchmarks.bench_loaders --python $(LOADERS)/bin/python

soak: $(INSTALLED) ## Epochs over epochs for 30 minutes (or MINUTES=): memory, descriptors, counts
	$(PYTHON) -m tests.benchmarks.soak --minutes $(or $(MINUTES),30)

fuzz: $(INSTALLED) ## Random plans, labels, files... for 10 minutes each (or MINUTES=)
	FUZZ_MINUTES=$(or $(MINUTES),10) $(PYTHON) -m pytest --tier suite -n 2 -rs tests/fuzz

dist: $(INSTALLED) ## Wheel, source archive and list of licences, into dist/
	tools/dist.sh $(PYTHON)

docs: $(INSTALLED) ## The documentation as HTML, into site/; needs no network
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet --strict

clean: ## Remove .venv and runs
	rm -rf $(VENV) $(LOADERS) runs site
