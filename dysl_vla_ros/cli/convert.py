# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""``dysl-vla convert``: a published checkpoint becomes one safetensors weights folder.

    dysl-vla convert checkpoint.pth weights/roboflamingo-3b --clip ViT-L-14.safetensors \
        --tokenizer gpt-neox-20b/tokenizer.json
    dysl-vla convert openflamingo.pt weights/base --clip clip.bin --language-model mpt-1b.bin

RoboFlamingo, DeeR and OpenFlamingo are told apart by their keys. Nothing is written unless every
key fits.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('source', help='.pth file, or a folder with checkpoint.pth, '
                                       'clip_visual.safetensors and config.json')
    parser.add_argument('target', help='weights folder to write')
    parser.add_argument('--clip', help="CLIP weights, open_clip's or transformers' names "
                                       '(default: clip_visual.safetensors beside the source)')
    parser.add_argument('--tokenizer', help='tokenizer.json of the language model, or its folder')
    parser.add_argument('--language-model', help='MPT weights, only for OpenFlamingo')
    parser.add_argument('--size', help='expect exactly this size, e.g. roboflamingo-3b or deer-3b '
                                       '(default: told from config.json, container and shapes)')
    parser.add_argument('--feature-layer', type=int,
                        help="read-out layer (default: the original code's)")
    parser.add_argument('--dtype', choices=('fp32', 'bf16', 'fp16'),
                        help='precision to store (default: as in the source)')
    parser.add_argument('--keep-auxiliary-heads', action='store_true',
                        help="keep DeeR's heads of single exits (training only)")


def run(args: argparse.Namespace) -> int:
    """Convert and say what was left out."""
    from rich.console import Console

    from dysl_vla_ros.model.checkpoint import DTYPES
    from dysl_vla_ros.model.checkpoints import convert, open_published
    from dysl_vla_ros.model.config import VLAConfig

    console = Console()
    with console.status(f'reading {args.source}'):
        published = open_published(
            args.source, args.clip, language_model=args.language_model,
            config=VLAConfig.from_name(args.size) if args.size else None,
            feature_layer=args.feature_layer)
        remarks = convert(published, args.target, tokenizer=args.tokenizer,
                          dtype=DTYPES.get(args.dtype),
                          keep_auxiliary_heads=args.keep_auxiliary_heads)
    decoder = published.config.decoder
    print(f'{args.target}: {published.kind}, {decoder.feature_layer + 1} of {decoder.n_layers} '
          f'layers, every key accounted for')
    for remark in remarks:
        print(f'- {remark}')
    return 0
