# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A user's calvin_env ``data`` folder: which files a scene needs, and whether they are there.

Everything is checked before anything is loaded, because PyBullet only prints a warning for a
missing mesh or texture and goes on without it. Layout: design/calvin.md section 2.2.
"""

from collections.abc import Iterator
from pathlib import Path
import xml.etree.ElementTree as ElementTree

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim.scene import SceneSpec

SCALING = 0.8
_COLOURS = ('red', 'blue', 'pink')


def official_files(assets: Path, scene: SceneSpec) -> dict[str, str]:
    """Paths of the URDFs of a scene by part: robot, table, plane and the three blocks.

    Raises:
        SimulationError: If one of them, or a mesh, material or texture they draw, is missing or
            cannot be read; names the file.
    """
    if not assets.is_dir():
        raise SimulationError(f'assets_dir {assets}: no such folder; expected the data folder of '
                              'calvin_env')
    letter = scene.letter
    names = {
        'robot': 'franka_panda/panda_longer_finger.urdf',
        'table': f'calvin_table_{letter}/urdf/calvin_table_{letter}.urdf',
        'plane': 'plane/plane.urdf',
    } | {f'block_{colour}': f'blocks/block_{colour}_{size}.urdf'
         for colour, size in zip(_COLOURS, scene.block_sizes, strict=True)}
    for name in names.values():
        for path in _needed(assets / name):
            if not path.is_file():
                raise SimulationError(
                    f'assets_dir {assets}: missing {path.relative_to(assets)}, which {name} needs;'
                    ' expected the data folder of calvin_env (calvin_table_*, blocks, plane, '
                    'franka_panda)')
    return {part: str(assets / name) for part, name in names.items()}


def _needed(urdf: Path) -> Iterator[Path]:
    """The URDF, its meshes, and the materials and textures of the visual ones."""
    yield urdf
    for is_visual, name in _meshes(urdf):
        mesh = _resolve(urdf.parent, name.removeprefix('package://'))
        yield mesh
        # The Panda's collision meshes name materials that do not exist upstream either.
        if is_visual and mesh.suffix.lower() == '.obj' and mesh.parent.name != 'collision':
            for material in _values(mesh, 'mtllib'):
                yield _resolve(mesh.parent, material)
                for texture in _values(_resolve(mesh.parent, material), 'map_Kd'):
                    yield _resolve(mesh.parent, texture)


def _meshes(urdf: Path) -> list[tuple[bool, str]]:
    # PyBullet's parser accepts what is strictly no XML (the plane says version 0.0).
    try:
        text = urdf.read_text(encoding='utf-8')
        body = text[text.index('?>') + 2:] if text.lstrip().startswith('<?') else text
        root = ElementTree.fromstring(body.strip())
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise SimulationError(f'{urdf}: cannot be read as a URDF: {error}') from error
    return [(tag == 'visual', mesh.get('filename', ''))
            for tag in ('visual', 'collision') for part in root.iter(tag)
            for mesh in part.iter('mesh')]


def _values(path: Path, keyword: str) -> list[str]:
    """What follows a keyword at the start of a line of an OBJ or MTL file."""
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    return [line.split(maxsplit=1)[1].strip() for line in map(str.strip, lines)
            if line.startswith(f'{keyword} ')]


def _resolve(folder: Path, name: str) -> Path:
    """Path of ``name`` seen from ``folder`` without '..', so that messages stay short."""
    parts = list(folder.parts)
    for part in Path(name).parts:
        if part == '..':
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)
