# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small real bags of numbered images, and the ways in which recorders pack them."""

from functools import lru_cache
from pathlib import Path
import shutil
import tempfile

from backports import zstd
import numpy as np
import yaml

from dysl_vla_ros.bags.writer import BagWriter

STEP_NS = 33_333_333
FIRST_NS = 1_000_000_000
ALL_KINDS = [{'storage': s, 'is_compressed': c} for s in ('mcap', 'sqlite3')
             for c in (False, True)]


def robot_obs(step):
    """(15,) proprioception of a step."""
    return np.array([0.1 + 1e-3 * step, -0.2, 0.5, 3.09, -0.03, 1.5, 0.04, *np.linspace(-1, 1, 7),
                     1.0])


def pixels(step, size):
    """(size, size, 3) image: red is the step's number, the rest is hard to compress."""
    image = np.random.default_rng(step).integers(0, 256, (size, size, 3), dtype=np.uint8)
    image[:, :, 0] = step % 256
    return image


def action(step):
    """(7,) recorded command of a step."""
    return np.array([step / 255, 1e-3 * step, 0.15, 0, 0, 0, 1.0 if step % 7 else -1.0])


def write_steps(bag, count, first=0, size=16, offset_ns=0):
    """Write numbered observations, each followed by its action 5 ms later."""
    for step in range(first, first + count):
        stamp = FIRST_NS + offset_ns + step * STEP_NS
        bag.observation(pixels(step, size), pixels(step, size // 2), robot_obs(step), stamp)
        bag.action(action(step), stamp, step, stamp + 5_000_000)


def make_bag(folder, count=5, instruction='open the drawer', size=16, **options):
    """Write a bag of ``count`` steps; ``options`` are BagWriter's."""
    with BagWriter(folder, **options) as bag:
        if instruction:
            bag.instruction(instruction, FIRST_NS - 1_000_000)
        write_steps(bag, count, size=size)
    return Path(folder)


@lru_cache
def small_bag(storage):
    """Return one bag per storage, to be copied, never changed."""
    folder = Path(tempfile.mkdtemp(prefix='dysl_small_bag_')) / 'bag'
    return make_bag(folder, 12, size=64, storage=storage, is_compressed=storage == 'mcap')


def split(folder, parts, storage):
    """Write a bag of two steps per file, as ``ros2 bag record -b`` does."""
    suffix = {'mcap': '.mcap', 'sqlite3': '.db3'}[storage]
    folder.mkdir()
    files = []
    for part in range(parts):
        single = folder / 'single'
        with BagWriter(single, storage) as bag:
            write_steps(bag, 2, 2 * part)
        files.append(f'{folder.name}_{part}{suffix}')
        shutil.move(single / f'single{suffix}', folder / files[-1])
        content = yaml.safe_load((single / 'metadata.yaml').read_text())
        shutil.rmtree(single)
    content['rosbag2_bagfile_information']['relative_file_paths'] = files
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(content))
    return folder


def pack_file(folder):
    """Compress the storage file as ``--compression-mode file`` does."""
    path = next(p for p in folder.iterdir() if p.suffix in ('.mcap', '.db3'))
    packed = path.with_name(path.name + '.zstd')
    packed.write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    metadata = folder / 'metadata.yaml'
    content = yaml.safe_load(metadata.read_text())
    content['rosbag2_bagfile_information'] |= {
        'relative_file_paths': [packed.name], 'compression_mode': 'FILE',
        'compression_format': 'zstd'}
    metadata.write_text(yaml.safe_dump(content))
    return folder
