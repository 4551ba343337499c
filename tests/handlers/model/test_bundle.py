from __future__ import annotations

import dataclasses
import json
import pickletools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from handlers.contract import ARCHIVE_CONFIG
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import (
    FILES,
    MODEL_CARD,
    WEIGHTS,
    Bundle,
    BundleConfig,
    BundleError,
    bundle_files,
    bundle_sha256,
)
from handlers.reference import REFERENCE
from tests.handlers.references import EXAMPLE
from tests.handlers.tiny_bundles import tiny_bundle


@pytest.fixture
def saved(moving_bundle: Bundle, tmp_path: Path) -> Path:
    moving_bundle.save(tmp_path, model_card="# card\n")
    return tmp_path


def _edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.parametrize("generator", [False, True])
def test_a_bundle_decodes_the_same_after_saving_and_loading(generator: bool, tmp_path: Path) -> None:
    bundle = tiny_bundle(generator=generator)
    bundle.save(tmp_path, model_card="# card\n")
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    loaded = Bundle.load(tmp_path)
    assert (loaded.config, loaded.vocabulary, loaded.genres) == (bundle.config, bundle.vocabulary, bundle.genres)
    rows = [SequenceSpec(genres=(1,), seed=seed) for seed in range(20)]
    assert Engine(loaded).decode(rows) == Engine(bundle).decode(rows)
    texts = ["wa wb wc", "wdx"]
    assert torch.equal(loaded.topics.shares(texts), bundle.topics.shares(texts))
    assert not any(parameter.requires_grad for parameter in loaded.decoder.parameters())
    assert not loaded.decoder.training


def test_the_configuration_survives_json() -> None:
    for bundle in (tiny_bundle(), tiny_bundle(generator=True)):
        assert BundleConfig.from_json(bundle.config.to_json()) == bundle.config


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(BundleError, match=f"{name} missing"):
        Bundle.load(saved)


@pytest.mark.parametrize("folder", ["nothing", "file"])
def test_what_is_no_folder_is_no_bundle(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.load(tmp_path / folder)


@pytest.mark.parametrize("name", sorted(set(FILES) - {MODEL_CARD}))
@pytest.mark.parametrize("keep", [0, 1, 20, -1])
def test_a_file_that_was_cut_short_is_refused(saved: Path, name: str, keep: int) -> None:
    content = (saved / name).read_bytes().rstrip()
    (saved / name).write_bytes(content[:keep])
    with pytest.raises(BundleError):
        Bundle.load(saved)


@pytest.mark.parametrize("name", sorted(set(FILES) - {MODEL_CARD}))
@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"5", b"null", b'{"a": 1}', b"[5]", b"[" * 100])
def test_a_file_of_something_else_is_refused(saved: Path, name: str, content: bytes) -> None:
    (saved / name).write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.load(saved)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "another format": lambda config: {**config, "format": 2},
    "no format": lambda config: {key: value for key, value in config.items() if key != "format"},
    "an unknown field": lambda config: {**config, "extra": 1},
    "a missing field": lambda config: {key: value for key, value in config.items() if key != "topics"},
    "another vocabulary size": lambda config: {**config, "decoder": {**config["decoder"], "vocabulary_size": 12}},
    "a size of text": lambda config: {**config, "decoder": {**config["decoder"], "hidden_size": "big"}},
    "a size of zero": lambda config: {**config, "decoder": {**config["decoder"], "z_size": 0}},
    "another hidden size": lambda config: {**config, "decoder": {**config["decoder"], "hidden_size": 8}},
    "another z of the generator": lambda config: {**config, "generator": {**config["generator"], "z_size": 5}},
    "no layers": lambda config: {**config, "generator": {**config["generator"], "num_layers": 0}},
    "no generator for its weights": lambda config: {**config, "generator": None, "desired_topic": "9 none"},
    "an unknown desired topic": lambda config: {**config, "desired_topic": "jazz"},
    "fewer topics": lambda config: {**config, "topics": config["topics"][:2]},
    "another number of genres": lambda config: {**config, "num_genres": 4},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_configuration_that_does_not_fit_the_rest_is_refused(saved: Path, change: str) -> None:
    _edit(saved / ARCHIVE_CONFIG, CHANGES[change])
    with pytest.raises(BundleError):
        Bundle.load(saved)


def test_a_configuration_of_another_format_says_which_one_it_reads(saved: Path) -> None:
    _edit(saved / ARCHIVE_CONFIG, CHANGES["another format"])
    with pytest.raises(BundleError, match="format 2, this code reads 1"):
        Bundle.load(saved)


@pytest.mark.parametrize("name", ["vocabulary.json", "genres.json", "topic_words.json"])
def test_a_table_that_is_longer_than_its_weights_is_refused(saved: Path, name: str) -> None:
    _edit(saved / name, lambda values: [*values, "another"])
    with pytest.raises(BundleError):
        Bundle.load(saved)


@pytest.mark.parametrize("name", ["vocabulary.json", "genres.json", "topic_words.json"])
def test_a_table_of_another_model_of_the_same_size_is_refused_by_its_name(saved: Path, name: str) -> None:
    _edit(saved / name, lambda values: [*values[:-2], values[-1], values[-2]])
    with pytest.raises(BundleError, match=f"trained with another {name} of the same size.*fetch the archive again"):
        Bundle.load(saved)


def test_weights_older_than_the_hashes_of_their_tables_are_read(saved: Path) -> None:
    save_file(load_file(saved / WEIGHTS), saved / WEIGHTS)
    assert Bundle.load(saved).vocabulary == tiny_bundle().vocabulary


def test_the_same_model_is_the_same_bytes(moving_bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    moving_bundle.save(tmp_path / "again", model_card="# card\n")
    for name in FILES:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.parametrize("name", ["decoder.output_bias", "topics.alpha", "generator.head.bias"])
@pytest.mark.parametrize("shape", [None, (3, 3)])
def test_weights_that_are_missing_or_of_another_shape_are_refused(
    saved: Path, name: str, shape: tuple[int, ...] | None
) -> None:
    tensors = load_file(saved / WEIGHTS)
    del tensors[name]
    if shape is not None:
        tensors[name] = torch.zeros(shape)
    save_file(tensors, saved / WEIGHTS)
    with pytest.raises(BundleError):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("decoder.lstm.weight_hh_l0", lambda values: values.fill_(float("nan")), "not finite"),
        ("generator.head.bias", lambda values: values.index_fill_(0, torch.tensor([0]), float("inf")), "not finite"),
        ("topics.alpha", lambda values: values.half(), "torch.float16, not torch.float32"),
        ("decoder.output_bias", lambda values: values.double(), "torch.float64, not torch.float32"),
    ],
)
def test_weights_that_are_no_numbers_or_of_another_kind_are_refused_by_name(
    saved: Path, name: str, damage: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    tensors = {key: value.clone() for key, value in load_file(saved / WEIGHTS).items()}
    save_file({**tensors, name: damage(tensors[name])}, saved / WEIGHTS)
    with pytest.raises(BundleError, match=f"{name} (is|holds).*{said}"):
        Bundle.load(saved)


def test_a_loaded_models_weights_are_the_pages_of_its_file(saved: Path) -> None:
    loaded = Bundle.load(saved)
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(saved / WEIGHTS))]
    ranges = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in maps]
    modules = [module for module in (loaded.decoder, loaded.generator) if module is not None]
    tensors = [*(each for module in modules for each in module.parameters()), loaded.topics.exp_elog_beta_KW]
    assert len(tensors) > 10
    assert all(any(first <= tensor.data_ptr() < last for first, last in ranges) for tensor in tensors)


def test_saving_over_the_file_that_a_model_was_loaded_from_leaves_that_model_as_it_was(saved: Path) -> None:
    loaded = Bundle.load(saved)
    before = Engine(loaded).decode([SequenceSpec(genres=(1,), seed=3)])
    tiny_bundle(seed=5, num_words=20, generator=True).save(saved, model_card="# another\n")
    assert Engine(loaded).decode([SequenceSpec(genres=(1,), seed=3)]) == before
    with torch.no_grad():
        loaded.decoder.output_bias.zero_()
    assert float(Bundle.load(saved).decoder.output_bias.abs().max()) > 0


def test_the_hash_leaves_out_the_version_and_the_card_and_sees_everything_else(tmp_path: Path) -> None:
    def hashed(name: str, *, card: str = "# card\n", **changes: Any) -> str:
        (tmp_path / name).mkdir()
        tiny_bundle(**changes).save(tmp_path / name, model_card=card)
        return bundle_sha256(tmp_path / name)

    first = hashed("first")
    assert hashed("version", version="2") == first
    assert hashed("card", card="# another\n") == first
    assert hashed("weights", seed=1) != first
    assert hashed("generator", generator=True) != first
    _edit(tmp_path / "version" / ARCHIVE_CONFIG, lambda config: {**config, "lineage": {"corpus": "other"}})
    assert bundle_sha256(tmp_path / "version") != first
    _edit(tmp_path / "card" / "genres.json", lambda labels: labels[::-1])
    assert bundle_sha256(tmp_path / "card") != first


def test_no_file_of_a_bundle_is_a_pickle(saved: Path) -> None:
    for path in saved.iterdir():
        with (
            path.open("rb") as opened,
            pytest.raises(ValueError, match=r"opcode|pickle|not enough|exhausted|expected|invalid literal"),
        ):
            list(pickletools.genops(opened))


@pytest.mark.slow
def test_loading_a_bundle_unpickles_nothing(saved: Path) -> None:
    # Python reports every class that a pickle looks up; torch.load would have to come this way too.
    code = (
        "import pickle, sys, pathlib\n"
        "from handlers.commentary import Commentator\n"
        "from handlers.contract import CommentaryRequest\n"
        "def hook(event, arguments):\n"
        "    if event == 'pickle.find_class': raise SystemExit('something was unpickled')\n"
        "sys.addaudithook(hook)\n"
        "import torch\n"
        "def forbidden(*arguments, **options): raise SystemExit('torch.load was called')\n"
        "torch.load = forbidden\n"
        "commentator = Commentator.load(pathlib.Path(sys.argv[1]))\n"
        "print(commentator.answer([CommentaryRequest(genres=(), seed=1)])[0].samples[0].text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_topics_that_do_not_match_the_generator_are_refused_with_both_sizes_and_the_way_out(tmp_path: Path) -> None:
    tiny_bundle(generator=True).save(tmp_path, model_card="# card\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config["topics"] = [*config["topics"], "4 one/too/many"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match=r"\(6, 4, 3\), the rest \(6, 4, 4\).*deephypebot train"):
        Bundle.load(tmp_path)


def test_a_bundle_keeps_its_reference_and_one_without_loads(tmp_path: Path) -> None:
    for name, bundle in {
        "with": dataclasses.replace(tiny_bundle(), reference=EXAMPLE),
        "without": tiny_bundle(),
    }.items():
        (tmp_path / name).mkdir()
        bundle.save(tmp_path / name, model_card="card")
    assert Bundle.load(tmp_path / "with").reference == EXAMPLE
    assert REFERENCE in bundle_files(tmp_path / "with")
    assert Bundle.load(tmp_path / "without").reference is None
    assert REFERENCE not in bundle_files(tmp_path / "without")
    assert bundle_sha256(tmp_path / "with") != bundle_sha256(tmp_path / "without")


def test_a_damaged_reference_is_refused(tmp_path: Path) -> None:
    dataclasses.replace(tiny_bundle(), reference=EXAMPLE).save(tmp_path, model_card="card")
    (tmp_path / REFERENCE).write_text("{")
    with pytest.raises(BundleError, match="cannot be loaded"):
        Bundle.load(tmp_path)
