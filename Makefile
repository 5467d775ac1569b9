# Photogram's commands; `make` lists them. Commands that need .venv make it first, from the lock file.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MADE := .venv/.made
RUN := .venv/bin
ARGS ?=
SQS_TESTS := tests/e2e tests/integration/test_job_queue_contract.py tests/integration/test_sqs_queue.py \
	$(addprefix tests/faults/test_, delivery.py frozen_worker.py killed.py killed_job_queue.py killed_redis.py killed_worker.py)

.PHONY: help run cluster test test-faults test-balancer test-cluster test-sqs test-engine test-upgrade lint words schema lock clean

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(MADE) ## Start everything on this machine and print its addresses; Ctrl-C stops it. ARGS="--port 9000" passes options.
	@exec $(RUN)/photogram run --stop-with-parent $(ARGS)

cluster: $(MADE) ## As run, on three MongoDB servers, six of Valkey, and two API processes behind HAProxy; nginx before storage.
	@exec $(RUN)/photogram run --cluster --data-dir .photogram-cluster --stop-with-parent $(ARGS)

test: $(MADE) ## Run all tests on servers and data of their own. ARGS="-k feed" passes options to pytest.
	@exec $(RUN)/python -m pytest -n auto --maxprocesses=4 --dist worksteal $(ARGS)

test-faults: $(MADE) ## Run only the tests of crashes and outages, at full size; takes some minutes.
	@exec $(RUN)/python -m pytest tests/faults --full-size $(ARGS)

test-sqs: $(MADE) ## Run the end-to-end tests, and those about jobs, with SNS and SQS (moto) as the job queue; takes some minutes.
	@PHOTOGRAM_JOB_QUEUE=sns-sqs exec $(RUN)/python -m pytest -n auto --maxprocesses=4 --dist worksteal $(SQS_TESTS) $(ARGS)

test-cluster: $(MADE) ## Run the end-to-end tests, and the tests that kill servers, on a cluster; takes some minutes.
	@exec $(RUN)/python -m pytest --cluster --full-size tests/faults/test_killed_cluster.py tests/integration/test_cluster_run.py tests/e2e $(ARGS)

test-engine: $(MADE) ## Compare the compiled engine with graphql-core in 50,000 random cases; takes some minutes.
	@PHOTOGRAM_ENGINE_CASES=50000 exec $(RUN)/python -m pytest -n 2 --dist worksteal -o faulthandler_timeout=5400 tests/engine \
		tests/integration/test_engine_equality.py $(ARGS)

test-upgrade: $(MADE) ## Run an older version beside this one: OLDER=COMMIT names it; takes a minute or two.
	@rm -rf .older && mkdir .older && git archive $(OLDER) | tar -x -C .older
	@PHOTOGRAM_TEST_OLDER=$(CURDIR)/.older $(RUN)/python -m pytest tests/e2e/test_older_version.py $(ARGS)

test-balancer: $(MADE) ## Kill and replace API processes behind HAProxy under 200 requests a second; takes a minute.
	@exec $(RUN)/python -m pytest tests/faults/test_load_balancer.py --full-size $(ARGS)

lint: $(MADE) words ## Check style, formatting, types, layers, vocabulary, and that schema.graphql is up to date.
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/cfn-lint deploy/cloudfront/*.yaml
	@$(RUN)/photogram schema | diff -u schema.graphql - || { echo "schema.graphql is not up to date: make schema" >&2; exit 1; }

words: ## Find words of the old vocabulary (docs/old-words.txt) outside the changelog and the glossary.
	@! git grep -nIiE "(^|[^[:alpha:]])($$(paste -sd '|' docs/old-words.txt))([^[:alpha:]]|$$)" -- . \
		':!CHANGELOG.md' ':!docs/old-words.txt' ':!*.lock' ':!LICENSE' ':!resolvers/transport/static' | grep -v '^docs/architecture.md:[0-9]*:|\|Effect.*Allow'

schema: $(MADE) ## Rewrite schema.graphql from the code.
	@$(RUN)/photogram schema > schema.graphql.new && mv schema.graphql.new schema.graphql

COMPILE := $(RUN)/uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11
lock: $(MADE) ## Pin the newest packages that pyproject.toml allows. ARGS="-P httpx2" updates only that one.
	$(COMPILE) $(or $(ARGS),--upgrade) pyproject.toml -o requirements.lock
	$(COMPILE) $(or $(ARGS),--upgrade) --extra embedded --extra demo --extra tracing --extra dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) $(or $(ARGS),--upgrade) --extra bench pyproject.toml -c requirements-dev.lock -o requirements-bench.lock

clean: ## Remove .venv, caches and builds; keep the data in .photogram.
	rm -rf .venv .peers .older build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE): requirements-dev.lock pyproject.toml deploy/local/make_venv.sh
	@deploy/local/make_venv.sh
	@touch $@
