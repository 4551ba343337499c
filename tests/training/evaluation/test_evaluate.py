from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from handlers.contract import SamplingParams
from tests.training.conftest import SampleCorpus
from tests.training.evaluation.conftest import HELD_OUT
from training.errors import CorpusError, SettingError, TrackingError
from training.evaluation.cli import evaluate as evaluate_command
from training.evaluation.console import goals_table, parse_named_files
from training.evaluation.evaluate import evaluate, track
from training.evaluation.metrics import METRICS
from training.evaluation.models import load_models
from training.evaluation.plan import DecodePlan, EvaluatePlan
from training.evaluation.readers.sheet import mix
from training.evaluation.report import Report, write_report
from training.evaluation.rows import RowKind, read_baseline, real_sets
from training.evaluation.samples import decode_rows
from training.packaging.archive import build_archive
from training.progress import Progress, silent
from training.tracking.mlflow_tracker import MlflowTracker
from training.tracking.port import NullTracker

pytestmark = pytest.mark.slow

DECODE = DecodePlan(num_samples=60, seeds=2, best_of=2)


def watch(_: str) -> Progress:
    return silent


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, sample_corpus: SampleCorpus) -> Path:
    """Real sentences as a file of samples, some under their genres, and one that is markup."""
    path = tmp_path_factory.mktemp("baseline") / "samples.txt"
    part = sample_corpus.corpus.part("train")
    lines = [f"{list(part.genres[i])}\n{part.texts[i]}\n" for i in range(30)]
    path.write_text("\n".join([*lines, "<script>alert(1)</script> is <b>bold</b>"]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, baseline: Path, sample_corpus: SampleCorpus) -> EvaluatePlan:
    folder = tmp_path_factory.mktemp("evaluation")
    kinds = sample_corpus.world.kinds
    labels = [{"text": text, "label": int(kind.name == "SOUND")} for text, kind in list(kinds.items())[:200]]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)), encoding="utf-8")
    real = sample_corpus.corpus.part("test").texts[:40]
    texts = {"real": real, "invented": [f"Glimmerish{number} the of xylox hums." for number in range(40)]}
    ratings = [
        {"source": source, "text": text, "reader": "anna", "accept": int(source == "real" and number > 3)}
        | dict.fromkeys(("grammar", "sense", "flavour"), 5 if source == "real" else 1)
        for source, own in texts.items()
        for number, text in enumerate(dict.fromkeys(own))
    ]
    (folder / "ratings.jsonl").write_text("\n".join(map(json.dumps, ratings)), encoding="utf-8")
    return EvaluatePlan(
        decode=DECODE, replicates=50, temperatures=(0.5, 1.0), curve_samples=30, baselines={"posts": baseline},
        labels=folder / "labels.jsonl", ratings=(folder / "ratings.jsonl",), workspace=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(
    sample_corpus: SampleCorpus,
    tiny_models: tuple[Path, Path],
    plan: EvaluatePlan,
    tmp_path_factory: pytest.TempPathFactory,
) -> Report:
    models = load_models(list(map(str, tiny_models)), NullTracker(), tmp_path_factory.mktemp("scratch"))
    return evaluate(sample_corpus.corpus, models, plan, watch=watch)


def test_every_row_has_every_figure_inside_its_interval(report: Report) -> None:
    kinds = [row.row.kind for row in report.rows]
    assert kinds == ["real", "real_kind", "baseline", "model", "served", "model", "served"]
    for row in report.rows:
        for name, figure in row.figures.items():
            if not np.isnan(figure.value):
                assert figure.low <= figure.value + 1e-6, (row.row.name, name)
                assert figure.value <= figure.high + 1e-6, (row.row.name, name)


def test_real_text_is_not_distinguishable_from_real_text_and_nonsense_is(report: Report) -> None:
    real, posts, nonsense = (report.rows[number].figures for number in (0, 2, 3))
    assert 0.3 < real["two_sample_auc"].value < 0.7
    assert nonsense["two_sample_auc"].value > 0.95
    assert nonsense["forward_ppl"].value > 5 * real["forward_ppl"].value
    assert nonsense["reverse_ppl"].value > 2 * real["reverse_ppl"].value
    assert nonsense["unseen_words"].value > 0.9
    assert real["unseen_words"].value < 0.5
    # The file's sentences are of the training split, word for word.
    assert posts["copy_exact"].value == pytest.approx(30 / 31)
    assert real["copy_exact"].value < 0.5
    assert posts["forward_ppl"].value < real["forward_ppl"].value


def test_a_figure_that_cannot_be_computed_is_missing_with_its_reason(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    texts = [f"Word{number}" for number in range(12)]
    (tmp_path / "words.txt").write_text("\n".join(texts), encoding="utf-8")
    plan = EvaluatePlan(decode=DECODE, replicates=10, temperatures=(), baselines={"words": tmp_path / "words.txt"})
    report = evaluate(sample_corpus.corpus, [], plan, watch=watch)
    real, _, alone = report.rows
    decoded = {"tokens_per_sample", "ms_per_sample"}
    not_of_kind = {"two_sample_auc_kind", "reverse_ppl_kind"}
    for_models = {"desired_share", "two_sample_auc_at_all", *not_of_kind, *decoded}
    assert real.missing.keys() == for_models
    assert alone.missing.keys() == for_models | {
        "genre_accuracy", "copy_4gram", "copy_8gram", "unseen_bigrams", "opening_shared_of_real",
    }  # fmt: skip
    assert alone.missing["copy_8gram"] == "no text has 8 words"
    write_report(report, tmp_path)
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    for measured, row in zip(report.rows, document["rows"], strict=True):
        assert row["missing"] == measured.missing
        assert all((metric.name in row) != (metric.name in row["missing"]) for metric in METRICS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "copied 8-grams (words): no text has 8 words." in page
    assert "tokens drawn, ms (every row): the texts were not decoded for this report." in page
    shown = io.StringIO()
    Console(file=shown, width=200).print(goals_table(report))
    assert "unseen word pairs (words): no text has two words" in shown.getvalue()
    # One text of each kind is not enough to train a classifier, so the area is missing and not 0.5.
    two = replace(plan, decode=DecodePlan(num_samples=1, seeds=1))
    first, *_ = evaluate(sample_corpus.corpus, [], replace(two, baselines={}), watch=watch).rows
    assert first.missing["two_sample_auc"] == "too few texts, or texts of too few posts, to train a classifier"
    assert "self_bleu" in first.missing


def test_goals_are_held_against_models_alone_and_steering_goals_against_those_that_move_z(report: Report) -> None:
    counted = {name: [goal.text for goal in goals] for name, goals in report.goals.items()}
    assert counted["held-out real text"] == counted["held-out real text, desired kind"] == counted["posts"] == []
    models = [row.row.name for row in report.rows if row.row.kind is RowKind.MODEL]
    plain, moved = (counted[name] for name in models)
    assert [
        text.removesuffix(" of that kind") for text in moved if text.removesuffix(" of that kind") in plain
    ] == plain
    assert [text for text in moved if "distinct-2" in text and "cvae" in text]
    assert not [text for text in plain if "desired share" in text]
    assert not next(goal for goal in report.goals[models[0]] if "two-sample" in goal.text).met


def test_best_of_draws_all_candidates_and_starts_from_the_same_ones(report: Report) -> None:
    plain, best = report.rows[3], report.rows[4]
    assert best.figures["tokens_per_sample"].value > 1.5 * plain.figures["tokens_per_sample"].value
    same = [one == other for one, other in zip(plain.row.sets[0].texts, best.row.sets[0].texts, strict=True)]
    assert 0.2 < np.mean(same) < 0.8


def test_a_model_that_moves_z_is_compared_with_real_text_of_the_desired_kind(report: Report) -> None:
    of_kind, plain, moved = (report.rows[number] for number in (1, 3, 5))
    assert of_kind.figures["desired_share_second_lda"].value == 1
    assert of_kind.figures["desired_share_classifier"].value == 1
    assert "two_sample_auc_kind" in plain.missing
    assert moved.figures["two_sample_auc_kind"].value > 0.9
    # One kind of real sentence is a part of all: it is distinguishable from them, and not from its like.
    assert of_kind.figures["two_sample_auc"].value > of_kind.figures["two_sample_auc_kind"].value + 0.1
    assert of_kind.figures["reverse_ppl_kind"].value < of_kind.figures["reverse_ppl"].value
    assert plain.same_size.real != moved.same_size.real
    goals = {goal.text: goal for goal in report.goals[moved.row.name]}
    assert not goals["two-sample AUC at most 0.70"].decides
    assert goals["distinct-2 at least 0.9 of real text's of that kind"].decides
    assert "readers" in goals["two-sample AUC at most 0.70"].reason
    assert all(goal.decides for goal in report.goals[plain.row.name])


def test_made_up_words_are_a_missed_goal_of_a_model_that_makes_them_up(report: Report) -> None:
    real, nonsense = report.rows[0], report.rows[3]
    assert nonsense.figures["made_up_texts"].value > 0.9
    assert real.figures["made_up_texts"].value < 0.3
    goal = next(goal for goal in report.goals[nonsense.row.name] if "made-up words at most" in goal.text)
    assert not goal.met
    assert nonsense.figures["slor"].value < real.figures["slor"].value
    assert nonsense.figures["unseen_bigrams"].value > real.figures["unseen_bigrams"].value


def test_figures_are_compared_with_the_ratings_of_readers(report: Report, tmp_path: Path) -> None:
    assert report.readers is not None
    assert [each.source for each in report.readers.sources] == ["real", "invented"]
    found = {each.figure: each for each in report.readers.figures}
    # Low shares of made-up words are posted, and high log-probabilities.
    assert found["made_up_words"].auc.value < 0.2
    assert found["log_prob_per_word"].auc.value > 0.8
    assert found["forward_ppl"].grammar < -0.5
    # What is most like a sample is what readers reject.
    assert found["two_sample_score"].auc.value < 0.2
    assert abs(report.readers.figures[0].auc.value - 0.5) > abs(report.readers.figures[-1].auc.value - 0.5)
    write_report(report, tmp_path)
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert document["readers"]["sources"][1]["accept_of_real"] == 0
    assert "Figures that agree with readers" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_samples_of_all_models_stand_side_by_side_with_made_up_words_marked(report: Report, tmp_path: Path) -> None:
    served = [row for row in report.rows if row.row.kind is RowKind.SERVED]
    assert [answer.version for answer in report.samples[0].answers] == [row.row.name for row in served]
    for number, asked in enumerate(report.samples):
        for answer, row in zip(asked.answers, served, strict=True):
            assert "".join(word.text for word in answer.words) == row.row.sets[0].texts[number]
    assert len(report.samples) == DECODE.num_samples
    assert any(word.made_up for asked in report.samples for answer in asked.answers for word in answer.words)
    write_report(report, tmp_path)
    page = (tmp_path / "samples.html").read_text(encoding="utf-8")
    assert page.count('<section class="request">') == DECODE.num_samples
    assert "<mark>" in page
    assert '<a href="report.html">' in page


def test_a_sheet_for_readers_has_sentences_of_every_row(report: Report) -> None:
    sheet = mix(report.sentences(), each=5, seed=1)
    assert sheet.counts() == {row.row.name: 5 for row in report.rows}


def test_the_page_shows_what_was_written_as_text_and_is_whole_in_one_file(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)', page) == ["samples.html"]
    assert page.count("<svg ") == 2
    assert page.index("Over temperature") < page.index("During training")
    for row in report.rows:
        assert row.row.name in page
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [row["row"] for row in document["rows"]] == [row.row.name for row in report.rows]
    (curve,) = document["training"].values()
    assert [point["seconds"] for point in curve] == [60.0, 120.0, 180.0]
    assert set(document["training"]) == {report.rows[3].row.name}
    promised = {"desired_share", "distinct_2", "forward_ppl", "reverse_ppl", "two_sample_auc", "genre_accuracy"}
    for row in document["rows"]:
        for name in (promised - {"genre_accuracy"}) | {"repeats", "unk", "copy_8gram"}:
            assert {"value", "low", "high"} <= set(row[name]), (row["row"], name)
    assert set(document["judges"]) >= {"second_lda", "classifier"}


def test_samples_come_from_the_disk_the_second_time_and_are_the_same(
    sample_corpus: SampleCorpus, tiny_models: tuple[Path, Path], tmp_path: Path
) -> None:
    (model,) = load_models([str(tiny_models[0])], NullTracker(), tmp_path)
    asked = real_sets(sample_corpus.corpus, "test", DECODE)
    cache = tmp_path / "cache"
    first = decode_rows(model, asked, DECODE, cache=cache, progress=silent)
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert decode_rows(model, asked, DECODE, cache=cache, progress=silent) == first
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == written
    assert [each.texts for each in decode_rows(model, asked, DECODE, cache=None, progress=silent)[0].sets] == [
        each.texts for each in first[0].sets
    ]
    assert first[0].sets[0].texts != first[0].sets[1].texts


def test_guided_samples_are_other_samples_and_are_kept_apart_on_the_disk(
    sample_corpus: SampleCorpus, tiny_models: tuple[Path, Path], tmp_path: Path
) -> None:
    (model,) = load_models([str(tiny_models[0])], NullTracker(), tmp_path)
    # The model knows few of the corpus's genres.
    asked = [replace(each, genres=[["techno"]] * len(each)) for each in real_sets(sample_corpus.corpus, "test", DECODE)]
    plans = [replace(DECODE, sampling=SamplingParams(guidance=guidance)) for guidance in (1.0, 3.0, 1.0)]
    rows = [decode_rows(model, asked, each, cache=tmp_path / "cache", progress=silent)[0] for each in plans]
    assert rows[0] == rows[2]
    assert rows[0].sets[0].texts != rows[1].sets[0].texts
    assert rows[0].sets[0].genres == rows[1].sets[0].genres


def test_an_archive_is_the_model_that_its_bundle_is_and_one_model_is_given_once(
    tiny_models: tuple[Path, Path], tmp_path: Path
) -> None:
    archive = build_archive(tiny_models[0], tmp_path, version="4")
    (packed,) = load_models([str(archive.path)], NullTracker(), tmp_path)
    (folder,) = load_models([str(tiny_models[0].parent)], NullTracker(), tmp_path)
    assert packed.sha256 == folder.sha256
    assert packed.name == "cvae/4"
    with pytest.raises(SettingError, match="same model as an earlier one"):
        load_models([str(archive.path), str(tiny_models[0])], NullTracker(), tmp_path)


def test_what_leads_to_no_model_says_what_would(tmp_path: Path) -> None:
    for nowhere in ("no/such/folder", "model_store/lcgan_2.mar"):
        with pytest.raises(SettingError, match=rf"^{nowhere!r} is not a model.*cvae/1"):
            load_models([nowhere], NullTracker(), tmp_path)
    with pytest.raises(TrackingError, match=r"^models:/cvae/1 is a registered version.*no registry without tracking$"):
        load_models(["models:/cvae/1"], NullTracker(), tmp_path)
    with pytest.raises(TrackingError, match="no registry without tracking; no file or folder has the name 'nowhere'"):
        load_models(["nowhere"], NullTracker(), tmp_path)


def test_a_registered_version_is_fetched_and_its_run_gets_the_report(
    tiny_models: tuple[Path, Path], report: Report, sample_corpus: SampleCorpus, plan: EvaluatePlan, tmp_path: Path
) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path / 'mlflow.db'}", artifacts=tmp_path / "artifacts")
    with tracker.run("cvae") as run:
        pass
    version = tracker.register(run.run_id, "cvae", tiny_models[0], tags={"cvae_version": ""})
    for name in ("models:/cvae/1", "cvae/1"):
        (model,) = load_models([name], tracker, tmp_path)
    assert (model.name, model.run_id) == ("cvae/1", version.run_id)
    assert model.seconds is not None
    assert model.held_out == HELD_OUT
    asked = real_sets(sample_corpus.corpus, "test", DECODE)
    assert (
        decode_rows(model, asked, DECODE, cache=None, progress=silent)[0].sets[0].texts
        == report.rows[3].row.sets[0].texts
    )
    few = DecodePlan(num_samples=20, seeds=1, best_of=1)
    quick = EvaluatePlan(decode=few, replicates=10, temperatures=(), baselines={}, workspace=plan.workspace)
    again = evaluate(sample_corpus.corpus, [model], quick, watch=watch)
    write_report(again, tmp_path / "report")
    assert track(again, tmp_path / "report", tracker) == 1
    data = tracker._client.get_run(version.run_id).data
    row = again.rows[2]
    logged = {name.removeprefix("evaluate."): value for name, value in data.metrics.items() if "evaluate." in name}
    assert logged.pop("goals_met") == sum(goal.met for goal in again.goals[row.row.name])
    assert logged == pytest.approx({name: row.figures[name].value for name in row.figures.keys() - row.missing.keys()})
    # A metric that a reader looks for and does not find is in the tag, with the reason.
    assert logged.keys() | row.missing.keys() == {metric.name for metric in METRICS}
    assert data.tags["evaluate.missing"] == "; ".join(f"{name}: {reason}" for name, reason in row.missing.items())
    assert "two_sample_auc_at_all: a seed has no more than" in data.tags["evaluate.missing"]
    artifacts = {each.path for each in tracker._client.list_artifacts(version.run_id, "evaluation")}
    assert artifacts == {"evaluation/report.html", "evaluation/report.json", "evaluation/samples.html"}
    for wrong, named in {"cvae/9": "cvae/9", "models:/cvae@best": "cvae@best", "cvae": "cvae@champion"}.items():
        with pytest.raises(TrackingError, match=f"^{named} cannot be fetched from sqlite"):
            load_models([wrong], tracker, tmp_path)


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(evaluate_command)
    return app


def test_the_command_ends_with_one_line_of_json_and_writes_it_where_asked(
    command: typer.Typer,
    sample_corpus: SampleCorpus,
    tiny_models: tuple[Path, Path],
    plan: EvaluatePlan,
    tmp_path: Path,
) -> None:
    baseline = plan.baselines["posts"]
    arguments = [
        str(sample_corpus.folder), "--model", str(tiny_models[0]), "--baseline", f"posts={baseline}", "--quick",
        "--budget", "2s", "--report", str(tmp_path / "report"), "--json", str(tmp_path / "out.json"), "--workspace",
        str(plan.workspace), "--best-of", "1",
    ]  # fmt: skip
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed == json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert printed["name"] == "evaluate"
    assert [row["kind"] for row in printed["figures"]["rows"]] == ["real", "real_kind", "baseline", "model"]
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_file_of_samples_gives_their_genres_where_it_lists_them(sample_corpus: SampleCorpus, baseline: Path) -> None:
    (one,) = read_baseline("posts", baseline, sample_corpus.corpus, DECODE).sets
    part = sample_corpus.corpus.part("train")
    assert one.texts[:30] == part.texts[:30]
    assert one.genres is not None
    assert one.genres[:30] == [list(genres) for genres in part.genres[:30]]
    assert one.genres[30] == []
    dealt = read_baseline("posts", baseline, sample_corpus.corpus, DecodePlan(num_samples=10, seeds=2)).sets
    assert [each.texts for each in dealt] == [one.texts[:10], one.texts[10:20]]


def test_files_of_samples_that_are_none_say_so(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="2 samples; a row needs at least 10"):
        read_baseline("few", tmp_path / "few.txt", sample_corpus.corpus, DECODE)
    for name in ("bytes.txt", "absent.txt"):
        with pytest.raises(CorpusError, match=f"{name} cannot be read"):
            read_baseline("none", tmp_path / name, sample_corpus.corpus, DECODE)


@pytest.mark.parametrize("value", ["posts", "=file", "posts="])
def test_a_baseline_is_a_name_and_a_file(value: str) -> None:
    with pytest.raises(SettingError, match=r"NAME=FILE"):
        parse_named_files("--baseline", [value])


def test_two_baselines_of_one_name_are_refused() -> None:
    with pytest.raises(SettingError, match="given twice"):
        parse_named_files("--baseline", ["a=x", "a=y"])


@pytest.mark.parametrize("decode", [DecodePlan(num_samples=0), DecodePlan(seeds=0), DecodePlan(best_of=0)])
def test_a_plan_of_nothing_is_refused(decode: DecodePlan) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        EvaluatePlan(decode=decode, baselines={})


def test_a_split_without_sentences_is_an_error_that_names_it(sample_corpus: SampleCorpus) -> None:
    with pytest.raises(CorpusError, match="test split has 0 sentences"):
        real_sets(sample_corpus.corpus.part("train"), "test", DECODE)


def test_sets_of_real_sentences_do_not_overlap_and_a_small_split_is_one_set(sample_corpus: SampleCorpus) -> None:
    test = sample_corpus.corpus.part("test")
    size = len(test) // 2
    two = real_sets(sample_corpus.corpus, "test", DecodePlan(num_samples=size, seeds=5))
    assert [len(each) for each in two] == [size, size]
    numbered = [key + text for each in two for key, text in zip(each.keys, each.texts, strict=True)]
    # A post may say the same sentence twice.
    assert len(set(numbered)) > 0.95 * 2 * size
    (one,) = real_sets(sample_corpus.corpus, "test", DecodePlan(num_samples=10 * size, seeds=5))
    assert sorted(one.texts) == sorted(test.texts)
