"""Value functions in bundles: what is read is what was written, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.model.bundle import Bundle, BundleError, bundle_files, bundle_sha256
from handlers.model.value import VALUE, SentenceValue
from tests.handlers.valuing import sentence_value, valuing

ARRAYS = ("gates_GI", "bias_G", "state_H", "topics_K", "words_W", "rarity_W", "length_1", "constant_1")


def test_a_bundle_keeps_its_value_function_and_another_one_has_another_hash(bundle: Bundle, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("plain", "first", "second")]
    for folder, made in zip(folders, (bundle, valuing(bundle), valuing(bundle, seed=6)), strict=True):
        folder.mkdir()
        made.save(folder, model_card="# card\n")
    assert Bundle.load(folders[0]).value is None
    assert VALUE not in bundle_files(folders[0])
    assert VALUE in bundle_files(folders[1])
    assert len({bundle_sha256(folder) for folder in folders}) == 3
    read, written = Bundle.load(folders[1]).value, valuing(bundle).value
    assert read is not None
    assert written is not None
    assert (read.words, read.smallest_share) == (written.words, written.smallest_share)
    for name in ARRAYS:
        assert torch.equal(getattr(read, name), getattr(written, name)), name


def test_the_same_function_is_the_same_file(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        sentence_value(bundle).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bias_G": torch.zeros(3)}, r"bias_G of the value function must be \[96\], got \[3\]"),
        ({"words_W": torch.zeros(1).double()}, r"words_W of the value function must be \[\d+\], got \[1\]"),
        ({"gates_GI": torch.zeros(96, 24)}, r"gates of an encoder with 24 states must be \[96, more than 24\]"),
        ({"state_H": torch.zeros(24)}, r"state_H of the value function must be torch.float64, got torch.float32"),
        ({"constant_1": torch.tensor([torch.nan]).double()}, "constant_1 .* holds values that are not finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(bundle: Bundle, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(sentence_value(bundle), **changed)


def test_a_damaged_file_and_one_of_another_model_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    valuing(bundle).save(tmp_path, model_card="# card\n")
    whole = (tmp_path / VALUE).read_bytes()
    (tmp_path / VALUE).write_bytes(whole[:-8])
    with pytest.raises(BundleError, match="cannot be loaded"):
        Bundle.load(tmp_path)
    (tmp_path / VALUE).write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be loaded"):
        Bundle.load(tmp_path)
    other = sentence_value(bundle)
    more = torch.zeros(len(other.gates_GI), 5)
    dataclasses.replace(other, gates_GI=torch.cat((other.gates_GI, more), dim=1)).save(tmp_path / VALUE)
    with pytest.raises(BundleError, match=r"embedding and topic sizes \(17, 3\), the model \(12, 3\)"):
        Bundle.load(tmp_path)


def test_a_file_without_its_words_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    sentence_value(bundle).save(tmp_path / "value")
    save_file(load_file(tmp_path / "value"), tmp_path / "bare")
    with pytest.raises(KeyError, match="words"):
        SentenceValue.load(tmp_path / "bare")
