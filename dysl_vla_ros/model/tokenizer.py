# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Instruction tokens: ``<image>`` + sentence + ``<|endofchunk|>`` + ``<|endoftext|>``."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
import torch

from dysl_vla_ros.errors import CheckpointError

IMAGE, END_OF_CHUNK, END_OF_TEXT = '<image>', '<|endofchunk|>', '<|endoftext|>'
PAD, UNKNOWN = '<PAD>', '<unk>'
FILE_NAME = 'tokenizer.json'


class InstructionTokenizer:
    """A ``tokenizers`` tokenizer with RoboFlamingo's prompt."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a tokenizer that knows the special tokens.

        Raises:
            CheckpointError: If a special token is missing.
        """
        self.tokenizer = tokenizer
        found = {t: tokenizer.token_to_id(t) for t in (IMAGE, END_OF_CHUNK, END_OF_TEXT, PAD)}
        ids = {t: i for t, i in found.items() if i is not None}
        missing = [t for t in found if t not in ids]
        if missing:
            raise CheckpointError(f'tokenizer lacks the special token(s) {missing}')
        self.image_id: int = ids[IMAGE]
        self.end_of_chunk_id: int = ids[END_OF_CHUNK]
        self._prefix = [self.image_id]
        self._suffix = [self.end_of_chunk_id, ids[END_OF_TEXT]]
        self.pad_id: int = ids[PAD]
        self.unknown_id: int | None = tokenizer.token_to_id(UNKNOWN)

    @classmethod
    def from_sentences(cls, sentences: Iterable[str]) -> 'InstructionTokenizer':
        """Build a lower-case word vocabulary (sorted, so equal input gives equal ids)."""
        normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Strip()])
        splitter = pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation(behavior='removed'), pre_tokenizers.Whitespace()])
        words: set[str] = set()
        for sentence in sentences:
            text = normalizer.normalize_str(sentence)
            words |= {word for word, _ in splitter.pre_tokenize_str(text)}
        special = [END_OF_TEXT, UNKNOWN, PAD, IMAGE, END_OF_CHUNK]
        vocabulary = {word: i for i, word in enumerate([*special, *sorted(words)])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = splitter
        return cls(tokenizer)

    @classmethod
    def with_prompt_tokens(cls, path: str | Path) -> 'InstructionTokenizer':
        """Load a language model's tokenizer and add the prompt tokens it lacks.

        The order is RoboFlamingo's, so the GPT-NeoX-20B tokenizer of 50277 tokens gets the ids
        50277 to 50279 (design/architecture.md section 5).

        Args:
            path: ``tokenizer.json`` or a folder with it.

        Raises:
            CheckpointError: If the file is missing, not a tokenizer, or lacks ``<|endoftext|>``.
        """
        path = Path(path).expanduser()
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise CheckpointError(f'{path}: no such file')
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception on bad JSON
            raise CheckpointError(f'{path}: not a tokenizer file: {error}') from error
        tokenizer.add_special_tokens([t for t in (END_OF_CHUNK, IMAGE, PAD)
                                      if tokenizer.token_to_id(t) is None])
        return cls(tokenizer)

    @classmethod
    def from_folder(cls, folder: str | Path) -> 'InstructionTokenizer':
        """Load ``tokenizer.json``.

        Raises:
            CheckpointError: If the file is missing or not a tokenizer.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            raise CheckpointError(f'{path}: no such file; a weights folder needs it')
        try:
            return cls(Tokenizer.from_file(str(path)))
        except CheckpointError:
            raise
        except Exception as error:  # the library raises bare Exception on bad JSON
            raise CheckpointError(f'{path}: not a tokenizer file: {error}') from error

    def save(self, folder: str | Path) -> None:
        """Write ``tokenizer.json`` into the folder."""
        self.tokenizer.save(str(Path(folder) / FILE_NAME))

    @property
    def size(self) -> int:
        """Number of token ids."""
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token ids of one instruction with the prompt's special tokens."""
        ids = self.tokenizer.encode(text.strip(), add_special_tokens=False).ids
        return [*self._prefix, *ids, *self._suffix]

    def unknown_words(self, text: str) -> list[str]:
        """Words of the instruction the vocabulary does not have."""
        encoding = self.tokenizer.encode(text.strip(), add_special_tokens=False)
        if self.unknown_id is None:
            return []
        return [text.strip()[a:b] for i, (a, b) in zip(encoding.ids, encoding.offsets, strict=True)
                if i == self.unknown_id]

    def encode_batch(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-padded ids (B, S) int64 and mask (B, S) bool, True on real tokens."""
        rows = [self.encode(text) for text in texts]
        length = max(len(row) for row in rows)
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, :len(row)] = torch.tensor(row)
            mask[i, :len(row)] = True
        return ids, mask
