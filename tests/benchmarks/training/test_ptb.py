from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks.training.treebank import load_treebank
from handlers.model.vocabulary import EOS_ID, UNK_ID
from training.errors import CorpusError
from training.presets import preset

TEXTS = {"train": " the cat sat \n the <unk> sat on N \n", "valid": " the cat \n", "test": " on the <unk> \n\n"}


def _write(folder: Path, **changed: str) -> Path:
    for split, text in (TEXTS | changed).items():
        (folder / f"ptb.{split}.txt").write_text(text)
    return folder


def test_splits_share_the_vocabulary_of_the_training_split(tmp_path: Path) -> None:
    treebank = load_treebank(_write(tmp_path))
    # the, cat, sat, on, N and the four special tokens, of which the unknown mark is the corpus's own.
    assert treebank.vocabulary_size == 9
    assert [len(part) for part in (treebank.train, treebank.valid, treebank.test)] == [2, 1, 1]
    assert treebank.train.num_tokens == 3 + 5 + 2
    test = treebank.test.batch([0]).tokens_TB[:, 0].tolist()
    assert test[2:] == [UNK_ID, EOS_ID]
    assert treebank.train.batch([1]).tokens_TB[0, 0] == test[1]
    config = treebank.config(preset("ptb").cvae)
    assert (config.vocabulary_size, config.z_size, config.hidden_size, config.num_genres) == (9, 32, 256, 0)


def test_packed_files_and_short_names_are_read_too(tmp_path: Path) -> None:
    plain = load_treebank(_write(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    for split, text in TEXTS.items():
        (other / f"{split}.txt.gz").write_bytes(gzip.compress(text.encode()))
    packed = load_treebank(other)
    assert packed.vocabulary_size == plain.vocabulary_size
    assert packed.train.batch([0, 1]).tokens_TB.equal(plain.train.batch([0, 1]).tokens_TB)


def test_what_cannot_be_a_treebank_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"has no train split of Penn Treebank; one of ptb\.train\.txt, .* is read"):
        load_treebank(tmp_path)
    with pytest.raises(CorpusError, match=r"the test split has the word 'dog', which the train split lacks"):
        load_treebank(_write(tmp_path, test="the dog\n"))
    with pytest.raises(CorpusError, match=r"ptb\.valid\.txt holds no sentence"):
        load_treebank(_write(tmp_path, valid=" \n\n"))
    _write(tmp_path)
    (tmp_path / "ptb.valid.txt").unlink()
    (tmp_path / "ptb.valid.txt.gz").write_bytes(gzip.compress(b"the cat\n" * 50)[:20])
    with pytest.raises(CorpusError, match=r"ptb\.valid\.txt\.gz cannot be read"):
        load_treebank(tmp_path)
