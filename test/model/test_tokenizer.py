# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Prompt and vocabulary: a shifted id or a lost word changes every command silently."""

from hypothesis import given, settings, strategies
import pytest

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.tokenizer import InstructionTokenizer

SENTENCES = ('Open the drawer', 'push the handle, to close the drawer!', 'turn on the LED')
WORDS = sorted({'open', 'the', 'drawer', 'push', 'handle', 'to', 'close', 'turn', 'on', 'led'})
TOKENIZER = InstructionTokenizer.from_sentences(SENTENCES)


def word_ids(text: str) -> list[int]:
    return TOKENIZER.encode(text)[1:-2]


def test_prompt_is_image_text_end_of_chunk_end_of_text():
    ids = TOKENIZER.encode('  open the drawer ')
    tokens = [TOKENIZER.tokenizer.id_to_token(i) for i in ids]
    assert tokens == ['<image>', 'open', 'the', 'drawer', '<|endofchunk|>', '<|endoftext|>']


def test_vocabulary_is_lower_case_without_punctuation_and_independent_of_order():
    other = InstructionTokenizer.from_sentences(reversed(SENTENCES))
    assert other.tokenizer.get_vocab() == TOKENIZER.tokenizer.get_vocab()
    assert set(WORDS) < set(TOKENIZER.tokenizer.get_vocab())
    assert TOKENIZER.size == len(WORDS) + 5
    assert word_ids('OPEN, the "Drawer".') == word_ids('open the drawer')


def test_unknown_words_get_the_unknown_token_and_are_reported():
    assert word_ids('open the cupboard')[-1] == TOKENIZER.unknown_id
    assert TOKENIZER.unknown_words('open the cupboard now') == ['cupboard', 'now']
    assert TOKENIZER.unknown_words('open the drawer') == []


@settings(max_examples=60, deadline=None)
@given(strategies.lists(strategies.sampled_from(WORDS), min_size=1, max_size=12))
def test_known_words_map_one_to_one(words):
    ids = word_ids(' '.join(words))
    assert [TOKENIZER.tokenizer.id_to_token(i) for i in ids] == words


@settings(max_examples=60, deadline=None)
@given(strategies.text(max_size=40).filter(lambda t: '<' not in t))
def test_any_text_gives_ids_inside_the_vocabulary_and_one_image_first(text):
    ids = TOKENIZER.encode(text)
    assert all(0 <= i < TOKENIZER.size for i in ids)
    image = TOKENIZER.tokenizer.token_to_id('<image>')
    assert ids[0] == image
    assert ids.count(image) == 1


def test_batch_pads_right_and_masks_the_pads():
    ids, mask = TOKENIZER.encode_batch(['open the drawer', 'turn on'])
    assert ids.shape == mask.shape == (2, 6)
    assert mask.sum(1).tolist() == [6, 5]
    assert ids[1, 5] == TOKENIZER.pad_id
    assert ids[1, :5].tolist() == TOKENIZER.encode('turn on')


def test_save_and_load_give_equal_ids(tmp_path):
    TOKENIZER.save(tmp_path)
    loaded = InstructionTokenizer.from_folder(tmp_path)
    for sentence in (*SENTENCES, 'an unknown Sentence!'):
        assert loaded.encode(sentence) == TOKENIZER.encode(sentence)


def test_a_missing_or_damaged_file_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError, match=r'tokenizer\.json: no such file'):
        InstructionTokenizer.from_folder(tmp_path)
    (tmp_path / 'tokenizer.json').write_text('{"cut')
    with pytest.raises(CheckpointError, match='not a tokenizer file'):
        InstructionTokenizer.from_folder(tmp_path)


def test_a_tokenizer_without_special_tokens_is_refused():
    from tokenizers import Tokenizer, models
    with pytest.raises(CheckpointError, match='<image>'):
        InstructionTokenizer(Tokenizer(models.WordLevel({'a': 0}, unk_token='a')))
