# make test   everything that must hold, in under ten minutes on two cores
# make demo   trains a tiny model on ShoppingTiny, in under ten minutes on two cores; FULL=1 compares five methods
# make test-sandboxes   every check of the sandboxes and the SWE environment, with bubblewrap and Docker; takes minutes.
#                       As root on Debian it installs both and starts a daemon of its own where none answers
# Each does its own set-up: all it needs is Python 3.11+, make and a package index.
VENV ?= .venv
PY = $(VENV)/bin/python
OUT ?= demo-out

.PHONY: help setup test test-sandboxes lint demo clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@scripts/setup.sh $(VENV)

lint: setup
	@echo "[test] format and lint (ruff)"
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@echo "[test] types (mypy)"
	@$(PY) -m mypy

test: lint
	@echo "[test] tests (pytest)"
	@$(PY) -m pytest $(ARGS)

test-sandboxes: setup
	@scripts/with-docker.sh $(PY) $(PY) -m pytest tests/sandboxes tests/swe $(ARGS)

demo: setup
	@$(PY) examples/demo.py --out $(OUT) $(if $(FULL),--full)

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out
