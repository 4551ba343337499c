from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.ptb import PUBLISHED, PtbPlan, bench_ptb, ptb_table, quick_treebank
from benchmarks.training.treebank import Treebank, load_treebank
from training.cvae.likelihood import importance_weighted_nll
from training.cvae.model import Cvae
from training.errors import CheckpointError
from training.presets import preset
from training.progress import Progress, silent

SETTINGS = replace(
    preset("ptb").cvae, embedding_size=12, hidden_size=12, z_size=4, epochs=1, batch_size=16, sampled_vocabulary=10
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, rng = tmp_path_factory.mktemp("ptb"), np.random.default_rng(0)
    words = [f"w{number}" for number in range(20)]
    for split, count in (("train", 120), ("valid", 20), ("test", 12)):
        lines = [" ".join(rng.choice(words, size=rng.integers(2, 7))) for _ in range(count)]
        first = [" ".join(words)] if split == "train" else []
        (place / f"ptb.{split}.txt").write_text("\n".join([*first, *lines]) + "\n")
    return place


@pytest.fixture(scope="module")
def treebank(folder: Path) -> Treebank:
    return load_treebank(folder)


def _watch(_stage: str) -> Progress:
    return silent


@pytest.mark.slow
def test_the_figures_are_those_of_the_trained_model_on_the_test_split(treebank: Treebank, tmp_path: Path) -> None:
    plan = PtbPlan(folder=tmp_path, settings=SETTINGS, num_samples=20)
    figures = bench_ptb(treebank, plan, _watch)
    model = Cvae(treebank.config(SETTINGS), mu_scale=SETTINGS.mu_scale)
    model.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"])
    nll_D = importance_weighted_nll(model, treebank.test, num_samples=20)
    assert figures["ppl"] == pytest.approx(math.exp(nll_D.sum() / treebank.test.num_tokens))
    assert figures["neg_elbo"] == pytest.approx(figures["rec"] + figures["kl"])
    assert figures["nll"] < figures["neg_elbo"]
    assert figures["mi"] <= math.log(12) + 1e-6
    assert (figures["samples"], figures["mi_mixture_size"], figures["sentences"]) == (20, 12, 12)
    # The same from the checkpoint, and from weights alone; a second run neither trains nor scores again.
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    for path in (tmp_path / "checkpoint.pt", tmp_path / "weights.pt"):
        again = bench_ptb(treebank, replace(plan, folder=tmp_path / "other", trained=path), _watch)
        assert again == pytest.approx(figures, rel=1e-6)
    assert bench_ptb(treebank, plan, _watch) == figures


def test_what_is_no_training_on_this_treebank_cannot_be_scored(treebank: Treebank, tmp_path: Path) -> None:
    plan = PtbPlan(folder=tmp_path, settings=SETTINGS, num_samples=2)
    other = Cvae(treebank.config(replace(SETTINGS, hidden_size=8)))
    torch.save(other.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no weights")
    for name in ("weights.pt", "text.pt", "missing.pt"):
        with pytest.raises(CheckpointError, match=f"{name} cannot be scored"):
            bench_ptb(treebank, replace(plan, trained=tmp_path / name), _watch)


def test_the_table_has_the_published_rows_and_ours_last() -> None:
    figures = {"ppl": 94.2, "neg_elbo": 101.9, "kl": 6.6, "rec": 95.3, "mi": 5.6, "au": 32, "samples": 500}
    table = ptb_table(figures | {"mi_mixture_size": 1024})
    assert len(table.rows) == len(PUBLISHED) + 1 == 6
    assert [list(column.cells)[-1] for column in table.columns] == [
        "deephypebot", "94.2", "101.9", "6.6", "95.3", "5.6", "32",
    ]  # fmt: skip
    assert "500 importance samples" in str(table.title)
    assert "at most 6.9 nats" in str(table.title)


def test_a_quick_treebank_holds_the_first_sentences_as_they_were(treebank: Treebank) -> None:
    quick = quick_treebank(treebank)
    assert quick.vocabulary_size == treebank.vocabulary_size
    assert quick.test.batch([3]).tokens_TB.equal(treebank.test.batch([3]).tokens_TB)


@pytest.mark.slow
def test_the_command_ends_with_its_figures_as_json(folder: Path, tmp_path: Path) -> None:
    arguments = ["ptb", str(folder), "--quick", "--workspace", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(app_bench, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.output.splitlines()[-1])
    assert document == json.loads((tmp_path / "figures.json").read_text())
    assert document["name"] == "ptb"
    assert set(document["figures"]) >= {"ppl", "kl", "mi", "au", "neg_elbo"}
    assert (tmp_path / "ptb" / "quick" / "checkpoint.pt").exists()
