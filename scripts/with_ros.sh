#!/usr/bin/env bash
# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Run a command with the built interfaces on its path and DDS kept to this machine.
# Usage: scripts/with_ros.sh COMMAND [ARGUMENT ...]
# ROS_DOMAIN_ID is kept if set, else one (1..101) that no other run or test session here has.
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
if [ -z "${ROS_DOMAIN_ID:-}" ]; then
  # The lock file is that of test/nodes/conftest.py; the command inherits it and holds it.
  for offset in {0..100}; do
    number=$((1 + ($$ + offset) % 101))
    exec {lock}>"${TMPDIR:-/tmp}/dysl_ros_domain_$number"
    if flock --nonblock "$lock"; then
      ROS_DOMAIN_ID=$number
      break
    fi
    exec {lock}>&-
  done
  if [ -z "${ROS_DOMAIN_ID:-}" ]; then
    echo 'all ROS domains from 1 to 101 are in use; set ROS_DOMAIN_ID' >&2
    exit 1
  fi
  export ROS_DOMAIN_ID
fi
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST RMW_IMPLEMENTATION=rmw_fastrtps_cpp
exec "$@"
