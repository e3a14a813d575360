# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small real bags of numbered images, and the ways in which recorders pack them.

A long one, to measure time and memory (ten minutes of two cameras are 18000 steps):

    PYTHONPATH=. python test/fakes/fake_bag.py /tmp/long_bag --steps 18000 --size 640x480
"""

import argparse
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


def long_bag(folder, steps, width, height, storage):
    """Write moving textures with plausible commands; one instruction per 300 steps."""
    coarse = np.random.default_rng(0).integers(
        0, 256, (height // 8 + 1, width // 4 + 1, 3), dtype=np.uint8)
    texture = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height]
    with BagWriter(folder, storage, is_compressed=True) as bag:
        for step in range(steps):
            stamp = FIRST_NS + step * STEP_NS
            if step % 300 == 0:
                bag.instruction('pull the handle to open the drawer', stamp)
            left = step % width
            image = texture[:, left:left + width]
            bag.observation(image, image[::2, ::2], robot_obs(step % 300), stamp)
            bag.action(np.clip(action(step % 255), -1, 1), stamp, step % 300, stamp + 5_000_000)


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('folder')
    parser.add_argument('--steps', type=int, default=18000)
    parser.add_argument('--size', default='640x480')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap')
    arguments = parser.parse_args()
    long_bag(arguments.folder, arguments.steps, *map(int, arguments.size.split('x')),
             arguments.storage)
