#!/usr/bin/env bash
# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Build the interfaces with colcon against the wheels in a virtual environment.
# Usage: scripts/build_interfaces.sh [VENV]   (default .venv); log in log/build_interfaces.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$(realpath "${1:-.venv}")
touch "$venv/COLCON_IGNORE"  # else colcon builds the wheels' own package.xml files
export PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv" ROS_DISTRO="${ROS_DISTRO:-jazzy}"
unset PYTHONPATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
mkdir -p log
if ! "$venv/bin/python" -m colcon --log-base log build --packages-select dysl_vla_ros \
    --event-handlers console_direct- \
    --cmake-args -G Ninja -DCMAKE_PREFIX_PATH="$venv" -DPython3_EXECUTABLE="$venv/bin/python" \
    -DPYTHON_EXECUTABLE="$venv/bin/python" -DBUILD_TESTING=OFF \
    -DCMAKE_PROJECT_INCLUDE="$PWD/scripts/wheel_fixes.cmake" >log/build_interfaces.txt 2>&1; then
  tail -n 60 log/build_interfaces.txt >&2
  echo 'building the interfaces failed; the whole log is log/build_interfaces.txt' >&2
  exit 1
fi
