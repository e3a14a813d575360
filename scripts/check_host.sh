#!/usr/bin/env bash
# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Say what is missing on this machine before make setup starts. Usage: check_host.sh PYTHON
python="${1:-python3}"
packages='apt install build-essential python3-dev python3-venv'
fail() {
  echo "make setup: $1" >&2
  exit 1
}
command -v "$python" >/dev/null || fail "$python not found; give one with PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
  || fail "$("$python" --version) found, 3.10 to 3.12 expected; choose one with PYTHON=python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv is missing; $packages"
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
  || fail "Python.h is missing (the interfaces are C extensions); $packages"
command -v c++ >/dev/null || fail "no C++ compiler; $packages"
