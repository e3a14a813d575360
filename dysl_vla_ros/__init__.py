# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dynamic-static layer-skipping vision-language-action policies for ROS 2.

Importing this package is free: no torch, no PyBullet, no ROS. Start reading at
``docs/explanation/architecture.md``.
"""

from pkgutil import extend_path

# The rosidl-generated half of this package (msg, srv, action) lives in the colcon install
# space. Extending the path lets a source checkout that comes first on sys.path see it too.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
