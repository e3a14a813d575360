# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# One door for newcomers and CI on a machine without ROS: make setup | demo | test | help.
# On a real ROS 2 install use colcon instead (README).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUN := scripts/with_ros.sh
PIP_OPTIONS ?= --quiet --disable-pip-version-check
# The CPU build, so that a machine without a GPU does not download gigabytes of CUDA. Installed on
# its own: the extra index is asked for this one package only.
TORCH ?= $(shell grep ^torch== requirements/constraints.txt)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
DEMO_ARGS ?=
TEST_ARGS ?=

REQUIREMENTS := $(wildcard requirements/*.txt)
INTERFACES := $(wildcard msg/*.msg srv/*.srv action/*.action launch/*.py config/*.yaml) CMakeLists.txt package.xml \
	scripts/wheel_fixes.cmake scripts/build_interfaces.sh scripts/policy_node scripts/sim_bridge_node
ENVIRONMENT_STAMP := $(VENV)/.dysl_environment
INTERFACES_STAMP := install/.dysl_interfaces

.PHONY: help setup demo test lint unit clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(INTERFACES_STAMP)  ## Create .venv (PYTHON=python3.11), install pinned packages, build the interfaces

demo: setup  ## Run three CALVIN chains over ROS and write report/index.html
	$(RUN) $(PY) -m dysl_vla_ros.cli demo $(DEMO_ARGS)

test: setup lint unit  ## Set up, then ruff, mypy, unit and end-to-end tests

lint: setup  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m mypy

unit: setup  ## pytest only (TEST_ARGS="-k name")
	$(RUN) $(PY) -m pytest $(TEST_ARGS)

clean:  ## Remove the environment and everything built (not data, runs or weights)
	rm -rf $(VENV) build install log report .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(PY):
	@scripts/check_host.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	touch $(VENV)/COLCON_IGNORE

$(ENVIRONMENT_STAMP): $(REQUIREMENTS) setup.py setup.cfg | $(PY)
	@echo 'Installing pinned packages into $(VENV) (a few minutes the first time) ...'
	$(PY) -m pip install $(PIP_OPTIONS) --retries 2 --no-deps \
	  --extra-index-url $(TORCH_INDEX) $(TORCH)
	$(PY) -m pip install $(PIP_OPTIONS) -c requirements/constraints.txt \
	  -r requirements/runtime.txt -r requirements/ros.txt -r requirements/dev.txt
	$(PY) -m pip install $(PIP_OPTIONS) --no-deps --no-build-isolation -e .
	touch $@

$(INTERFACES_STAMP): $(INTERFACES) $(ENVIRONMENT_STAMP)
	@echo 'Building the ROS interfaces (half a minute) ...'
	scripts/build_interfaces.sh $(VENV)
	touch $@
