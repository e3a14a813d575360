# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Generated descriptions. PyBullet breaks lines over 8 kB in two, often inside a number."""

from pathlib import Path
import tempfile
import xml.etree.ElementTree as ElementTree

import pytest

from dysl_vla_ros.sim import furniture, robot_model, urdf
from dysl_vla_ros.sim.scene import SCENES


def descriptions():
    folder = Path(tempfile.mkdtemp())
    yield 'robot', robot_model.panda_urdf(folder)
    for scene in SCENES.values():
        yield f'{scene.name} table', furniture.table_urdf(scene, folder)
        for block in scene.block_order:
            yield f'{scene.name} {block}', furniture.block_urdf(scene, block)


@pytest.mark.parametrize(('name', 'text'), list(descriptions()), ids=lambda v: v[:24])
def test_descriptions_are_xml_with_short_lines(name, text):
    assert max(map(len, text.splitlines())) < 2000, name
    assert ElementTree.fromstring(text).tag == 'robot'


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match='cone'):
        urdf.link('x', [urdf.Shape('cone', (1.0,))], 1.0, 0.5)
