# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""rosbag2 recordings without ROS: write and read them with the node's topics and types."""
