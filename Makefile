# One habit, one command. `make demo` and `make test` do everything on a fresh machine that has Python 3.11+ and make.
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The command does this for itself: torch's idle threads should not spin on cores that others share.
export OMP_WAIT_POLICY ?= PASSIVE
# Containers often forbid bytecode. Every process of the tests would then compile all of them, and what it imports, anew.
export PYTHONDONTWRITEBYTECODE :=
# How many processes there are, and which tests stay together in one since they share what is dear to make: tests/conftest.py.
PARALLEL = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: help install demo test unit test-compiled test-pool kills faults soak hosts stores ray coverage lint types format protos docs audit clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED) ## Make .venv with everything in it, Java runtime included

$(INSTALLED): pyproject.toml constraints.txt scripts/install.sh
	sh scripts/install.sh -e $(VENV) dev
	@touch $(INSTALLED)

demo: $(INSTALLED) ## The whole path, from posts to a queue of commentary
	$(BIN)/deephypebot demo $(ARGS)

test: $(INSTALLED) lint types ## Everything CI checks
	$(PARALLEL) -m "not alone and not fault and not pool" $(ARGS); parallel=$$?; \
	    $(BIN)/python -m pytest -m "alone and not fault and not pool" $(ARGS); alone=$$?; \
	    case $$parallel in 0|5) ;; *) exit 1;; esac; case $$alone in 0|5) ;; *) exit 1;; esac # 5: no test of that kind

unit: $(INSTALLED) ## Only the quick tests
	DEEPHYPEBOT_TESTS=quick $(PARALLEL) -m "not integration and not slow and not alone and not fault" $(ARGS)

test-compiled: $(INSTALLED) ## The tests of the decode and of a worker, by the kernels that numba compiles; five minutes
	DEEPHYPEBOT_COMPILED=1 $(PARALLEL) -m "not alone" tests/handlers tests/integration/test_worker.py $(ARGS)

# What tests of services need of TorchServe itself has the mark `torchserve`.
test-pool: $(INSTALLED) ## Both worker hosts by one suite, and the tests of services with the pool in TorchServe's place; ten minutes
	$(BIN)/python -m pytest tests/serving/hosts tests/serving/pool $(ARGS)
	DEEPHYPEBOT_WORKER_HOST=pool $(BIN)/python -m pytest -m "integration and not torchserve and not pool and not alone and not fault" \
	    tests/serving --ignore=tests/serving/torchserve --ignore=tests/serving/gateway --ignore=tests/serving/hosts --ignore=tests/serving/pool $(ARGS)

coverage: $(INSTALLED) ## Which lines the tests reach, without integration tests; writes build/coverage/index.html
	$(PARALLEL) -m "not integration and not fault" --cov --cov-report=term:skip-covered --cov-report=html:build/coverage $(ARGS)

kills: $(INSTALLED) ## Kill bot, backups, restores, gateway and the watch over experiments at every moment; a quarter of an hour
	DEEPHYPEBOT_KILL_STRIDE=1 $(BIN)/python -m pytest tests/bot/entrypoints/test_networked.py \
	    tests/bot/entrypoints/test_restored.py tests/bot/adapters/sqlite/test_kills.py \
	    tests/serving/traffic/test_kills.py tests/bot/services/test_killed_blind.py tests/experiments/test_kills.py \
	    tests/experiments/tracking -k kill $(ARGS)

faults: $(INSTALLED) ## Kill, hold, fill and flood a running service under load; writes docs/measurements/faults.md; half an hour
	DEEPHYPEBOT_FAULTS_PAGE=docs/measurements/faults.md $(BIN)/python -m pytest tests/faults -m "fault and not soak" $(ARGS)

soak: $(INSTALLED) ## Ask a service 200,000 times while its version changes; memory, files and threads stay flat
	DEEPHYPEBOT_FAULTS_PAGE=docs/measurements/faults.md DEEPHYPEBOT_SOAK=$(or $(REQUESTS),200000) \
	    $(BIN)/python -m pytest tests/faults -m soak $(ARGS)

hosts: $(INSTALLED) ## Two hosts in networks of their own serve by one registry, and train; wires pulled; 8 minutes, as root
	$(BIN)/python -m pytest tests/hosts -m fault $(ARGS)

ray: $(INSTALLED) ## Samples and a corpus on a Ray cluster of two nodes, of which one is killed; makes build/ray; two minutes
	sh scripts/ray.sh $(VENV) build/ray
	build/ray/bin/python -m pytest tests/ray $(ARGS)

stores: $(INSTALLED) ## Train, serve, promote and judge with MLflow on PostgreSQL and an S3 store; three minutes
	sh scripts/stores_environment.sh build/stores $(BIN)/python
	DEEPHYPEBOT_STORES_PYTHON=$(abspath build/stores/bin/python) $(BIN)/python -m pytest tests/stores -m fault $(ARGS)

experiments: $(INSTALLED) ## Simulate 1,000 experiments of each kind: false decisions, verdicts needed, versions stopped
	$(BIN)/deephypebot bench experiments $(ARGS)

lint: $(INSTALLED) ## Style, import contracts, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile.gpu deploy/Dockerfile.bot

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

format: $(INSTALLED) ## Rewrite in the one style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: $(INSTALLED) ## Write the gRPC stubs anew
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. \
	    serving/v1/commentary.proto serving/torchserve/api/inference.proto serving/oip/open_inference.proto
	$(BIN)/python scripts/private_pool.py serving/oip/open_inference_pb2.py

docs: $(INSTALLED) ## Write the reference pages and build the site into site/; a broken link is an error
	$(BIN)/python scripts/reference
	$(BIN)/zensical build --strict

audit: $(INSTALLED) ## Look for known vulnerabilities in the pinned packages; write build/sbom.cdx.json
	sh scripts/audit.sh $(BIN)

clean: ## Remove what can be made again; the workspace stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
