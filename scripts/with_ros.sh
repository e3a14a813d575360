#!/usr/bin/env bash
# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Run a command with the built interfaces on its path and DDS kept to this machine.
# Usage: scripts/with_ros.sh COMMAND [ARGUMENT ...]
# ROS_DOMAIN_ID is kept if set, else derived from this process (1..101).
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ "$#" -eq 0 ]; then
  echo 'usage: scripts/with_ros.sh COMMAND [ARGUMENT ...]' >&2
  exit 2
fi
if [ ! -f "$root/install/setup.bash" ]; then
  echo "$root/install/setup.bash is missing; run: make setup" >&2
  exit 1
fi
venv="${VENV:-$root/.venv}"
export PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
# shellcheck disable=SC1091
source "$root/install/setup.bash"
# The checkout comes first: edits count without a new build; the interfaces are merged in
# through the package's __path__.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$((1 + $$ % 101))}"
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST RMW_IMPLEMENTATION=rmw_fastrtps_cpp
exec "$@"
