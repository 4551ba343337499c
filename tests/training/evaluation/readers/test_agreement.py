from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from tests.examples import examples
from tests.training.conftest import SampleCorpus
from training.evaluation.intervals import Resampler
from training.evaluation.readers.agreement import agreement, by_source, kappas, sentences_of, wilson
from training.evaluation.readers.cli import app_blind
from training.evaluation.readers.ratings import Rating
from training.evaluation.readers.tables import agreement_table, sources_table


def rating(source: str, text: str, reader: str, accept: int, grade: int = 3) -> Rating:
    return Rating(source=source, text=text, reader=reader, grammar=grade, sense=grade, flavour=grade, accept=accept)


def readings(reader: str, accepted: dict[str, list[int]], *, grade: int = 3) -> list[Rating]:
    return [
        rating(source, f"{source} {number}", reader, accept, grade)
        for source, accepts in accepted.items()
        for number, accept in enumerate(accepts)
    ]


def test_a_source_is_divided_by_real_text_of_the_same_reader() -> None:
    strict = readings("strict", {"real": [1, 0], "model": [1, 0, 0, 0]})
    mild = readings("mild", {"real": [1, 1], "model": [1, 1, 1, 0]})
    real, model = by_source([*strict, *mild])
    assert (real.source, real.accept, real.accept_of_real) == ("real", 0.75, 1.0)
    assert model.accept == 0.5
    # 0.25 of 0.5 and 0.75 of 1: not 0.5 of 0.75.
    assert model.accept_of_real == pytest.approx((0.5 + 0.75) / 2)
    # The interval is over four sentences, however many have read them.
    assert (model.low, model.high) == wilson(0.5, 4)
    assert model.sentences == 4
    assert math.isnan(by_source(readings("anna", {"model": [1]}))[0].accept_of_real)


@examples(60)
@given(st.floats(0, 1), st.integers(1, 500))
def test_wilsons_interval_holds_the_share_and_narrows(share: float, count: int) -> None:
    low, high = wilson(share, count)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1
    assert high - low > wilson(share, 4 * count)[1] - wilson(share, 4 * count)[0]


def test_kappa_is_1_for_equals_0_for_chance_and_nothing_where_there_is_no_choice() -> None:
    def kappa(one: list[int], other: list[int]) -> float:
        (found,) = kappas([*readings("anna", {"model": one}), *readings("ben", {"model": other})])
        return found.kappa

    assert kappa([1, 0, 1, 0], [1, 0, 1, 0]) == pytest.approx(1)
    assert kappa([1, 1, 0, 0], [1, 0, 1, 0]) == pytest.approx(0)
    assert kappa([1, 1, 0, 0], [0, 0, 1, 1]) == pytest.approx(-1)
    assert math.isnan(kappa([1, 1], [1, 1]))
    # (agreement 0.75, chance 0.5)
    assert kappa([1, 1, 0, 0], [1, 1, 1, 0]) == pytest.approx(0.5)
    assert kappas(readings("anna", {"model": [1]})) == []


def test_the_figure_that_readers_agree_with_comes_first_and_noise_last() -> None:
    generator = np.random.default_rng(0)
    rows = [
        rating(source, f"{source} {number}", reader, int(number > 40), 1 + number // 20)
        for source in ("model", "other", "real")
        for number in range(80)
        for reader in ("anna", "ben")
    ]
    sentences = sentences_of(rows)
    truth = np.array([float(each.text.split()[1]) for each in sentences])
    figures = {"noise": generator.random(len(sentences)), "right": truth, "wrong": -truth, "same": truth * 0}
    found = {each.figure: each for each in agreement(sentences, figures, Resampler(20))}
    assert list(found)[2:] == ["noise", "same"] or list(found)[2:] == ["same", "noise"]
    assert found["right"].grammar > 0.95
    assert found["right"].auc.value == 1
    assert found["right"].auc_samples.value == 1
    assert found["wrong"].auc.value == 0
    assert abs(found["noise"].grammar) < 0.2
    assert found["same"].auc.value == 0.5
    assert math.isnan(found["same"].sense)
    shown = io.StringIO()
    Console(file=shown, width=160).print(agreement_table(list(found.values())))
    assert "right" in shown.getvalue()


def test_a_figure_that_orders_sources_as_readers_do_says_so() -> None:
    rows = readings("anna", {"a": [0, 0, 0], "b": [0, 1, 0], "c": [1, 1, 1]})
    sentences = sentences_of(rows)
    value = np.array([{"a": 1.0, "b": 2.0, "c": 3.0}[each.source] for each in sentences])
    (found,) = agreement(sentences, {"value": value}, Resampler(20))
    assert found.over_sources == pytest.approx(1)


def test_tables_show_kappa_and_dashes_for_what_is_not_known() -> None:
    rows = [*readings("anna", {"model": [1, 0]}), *readings("ben", {"model": [1, 0]})]
    shown = io.StringIO()
    Console(file=shown, width=160).print(sources_table(by_source(rows), kappas(rows)))
    assert "anna and ben agree on 1.00 of 2 sentences: kappa 1.00" in shown.getvalue()
    assert "–" in shown.getvalue()


def test_a_sheet_is_prepared_with_real_text_rated_and_summed_up(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    (tmp_path / "samples.txt").write_text("\n".join(f"So warm {number}." for number in range(9)), encoding="utf-8")
    folder, run = tmp_path / "sheet", CliRunner()
    arguments = [str(folder), "--corpus", str(sample_corpus.folder), "--source", f"lcgan={tmp_path / 'samples.txt'}"]
    done = run.invoke(app_blind, ["prepare", *arguments, "--each", "5"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "5 of held-out real text, 5 of lcgan" in done.stdout
    key = json.loads((folder / "key" / "key.json").read_text(encoding="utf-8"))
    lines = [f"{number}\t4\t4\t3\t{int(source != 'lcgan')}" for number, (source, _) in enumerate(key)]
    (tmp_path / "anna.tsv").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "sums.json"
    names = [str(folder / "key" / "key.json"), str(tmp_path / "anna.tsv")]
    done = run.invoke(app_blind, ["sum", *names, "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    real, lcgan = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)["figures"]["sources"]
    assert (real["source"], real["accept"], lcgan["accept"]) == ("held-out real text", 1.0, 0.0)
    assert lcgan["accept_of_real"] == 0
