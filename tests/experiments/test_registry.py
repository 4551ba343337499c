"""Definitions in the registry: what a start checks and writes, how an experiment ends, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from mlflow import MlflowClient
from typing_extensions import override

from experiments.definition import ActionKind, ActionRecord, Experiment, Guardrails
from experiments.definition_text import encode_definition, parse_definition
from experiments.errors import ExperimentError
from experiments.registry import ExperimentRegistry
from serving.errors import RegistryError
from serving.registry.client import Registry
from serving.traffic.experiment import ExperimentDesign
from tests.experiments.lab import EXPERIMENT, START, Lab

pytestmark = pytest.mark.integration

STICKY = replace(EXPERIMENT, design=ExperimentDesign.STICKY)
MARK = "winter design=interleaved since=2026-01-05T06:00:00Z"


def test_a_start_writes_a_tag_on_each_arm_and_a_definition_that_any_host_reads(lab: Lab) -> None:
    wanted = replace(EXPERIMENT, auto=True, alpha=0.1, guardrails=Guardrails(max_slowdown=2.0))
    started = lab.registry.start(wanted)
    assert lab.tags() == {"1": {"traffic_experiment": MARK}, "2": {"traffic_experiment": MARK}}
    assert lab.registry.get("winter") == started == wanted
    assert lab.registry.list() == lab.registry.list("lcgan") == (wanted,)


def test_a_sticky_start_shares_the_requests_evenly_by_a_salt_of_its_own(lab: Lab) -> None:
    lab.registry.start(replace(STICKY, treatments=("2", "3")))
    tags = lab.tags()
    assert {version: tags[version].get("traffic_weight") for version in tags} == {
        "1": None,
        "2": "33.33333333",
        "3": "33.33333333",
    }
    assert tags["1"]["traffic_salt"] == "winter"
    assert all(each["traffic_experiment"].startswith("winter design=sticky since=") for each in tags.values())


@pytest.mark.parametrize("design", list(ExperimentDesign))
def test_a_stop_removes_every_tag_and_a_second_one_changes_nothing(lab: Lab, design: ExperimentDesign) -> None:
    lab.registry.start(replace(EXPERIMENT, design=design))
    lab.pass_time(hours=2)
    stopped = lab.registry.stop("winter", outcome="enough")
    assert (stopped.stopped, stopped.outcome, lab.tags()) == (START + timedelta(hours=2), "enough", {})
    lab.pass_time(hours=2)
    assert lab.registry.stop("winter", outcome="again") == lab.registry.get("winter") == stopped


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"treatments": ("9",)}, "no version lcgan/9; the versions are: 1, 2, 3, 4"),
        ({"treatments": ("4",)}, "lcgan/4 has no archive"),
        ({"control": "2", "treatments": ("1",), "design": ExperimentDesign.STICKY}, r"is the champion \(lcgan/1\)"),
        ({"control": "2", "treatments": ("1",), "auto": True}, r"only over the champion \(lcgan/1\)"),
    ],
)
def test_versions_that_cannot_take_part_are_refused_and_nothing_is_written(
    lab: Lab, change: dict[str, object], said: str
) -> None:
    with pytest.raises(ExperimentError, match=said):
        lab.registry.start(replace(EXPERIMENT, **change))  # type: ignore[arg-type]
    assert (lab.tags(), lab.registry.list()) == ({}, ())


def test_a_model_that_is_not_registered_is_told(lab: Lab) -> None:
    with pytest.raises(RegistryError, match="'nobody' is not registered; the registered models are: lcgan"):
        lab.registry.start(replace(EXPERIMENT, model="nobody"))


def test_a_model_has_one_experiment_at_a_time(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    with pytest.raises(ExperimentError, match=r"winter \(lcgan/1 against lcgan/2\) runs on lcgan.*experiment stop"):
        lab.registry.start(replace(EXPERIMENT, name="spring", treatments=("3",)))
    lab.registry.stop("winter", outcome="")
    assert lab.registry.start(replace(EXPERIMENT, name="spring", treatments=("3",))).is_running


def test_a_name_is_used_once(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    with pytest.raises(ExperimentError, match="winter is taken by an experiment of lcgan that runs"):
        lab.registry.start(replace(EXPERIMENT, treatments=("3",)))
    lab.registry.stop("winter", outcome="")
    with pytest.raises(ExperimentError, match="that has ended"):
        lab.registry.start(EXPERIMENT)


def test_a_start_that_was_cut_short_is_finished_by_another_one(lab: Lab) -> None:
    started = lab.registry.start(EXPERIMENT)
    client = MlflowClient(lab.uri, lab.uri)
    client.delete_model_version_tag("lcgan", "2", "traffic_experiment")
    lab.pass_time(minutes=5)
    assert lab.registry.start(EXPERIMENT) == started
    assert lab.tags()["2"] == {"traffic_experiment": MARK}


def test_a_shadow_and_a_split_are_in_the_way_and_the_message_says_how_to_end_them(lab: Lab) -> None:
    client = MlflowClient(lab.uri, lab.uri)
    client.set_model_version_tag("lcgan", "2", "traffic_shadow", "true")
    with pytest.raises(ExperimentError, match="deephypebot models shadow lcgan/2 --off"):
        lab.registry.start(EXPERIMENT)
    client.delete_model_version_tag("lcgan", "2", "traffic_shadow")
    client.set_model_version_tag("lcgan", "3", "traffic_weight", "20")
    with pytest.raises(ExperimentError, match="deephypebot models split lcgan --end"):
        lab.registry.start(STICKY)
    assert lab.registry.start(EXPERIMENT).is_running


def test_a_version_that_is_taken_off_has_no_requests_and_says_why(lab: Lab) -> None:
    lab.registry.start(replace(EXPERIMENT, treatments=("2", "3")))
    after = lab.registry.take_off("winter", "3", "it fails")
    assert sorted(lab.tags()) == ["1", "2"]
    assert lab.tag("3", "experiment_reason") == "winter: it fails"
    assert (after.is_running, after.taken_off, after.arms) == (True, {"3": "it fails"}, ("1", "2"))
    assert lab.registry.take_off("winter", "3", "it fails again") == after
    lab.registry.take_off("winter", "2", "it is slow")
    assert lab.tags() == {}, "one arm is not an experiment"


def test_a_sticky_version_that_is_taken_off_leaves_its_share_to_the_champion(lab: Lab) -> None:
    lab.registry.start(replace(STICKY, treatments=("2", "3")))
    lab.registry.take_off("winter", "2", "it fails")
    tags = lab.tags()
    assert sorted(tags) == ["1", "3"]
    assert tags["3"]["traffic_weight"] == "33.33333333"
    assert "traffic_weight" not in tags["1"]


class Meanwhile(Registry):
    """Registry in which something else happens right before the first write to a model."""

    def __init__(self, uri: str, before: Callable[[], object]) -> None:
        super().__init__(uri)
        self._before = [before]

    @override
    def set_model_tag(self, model: str, tag: str, value: str) -> None:
        while self._before:
            self._before.pop()()
        super().set_model_tag(model, tag, value)


def test_a_stop_between_the_read_and_the_write_of_a_take_off_holds_and_so_does_the_take_off(lab: Lab) -> None:
    lab.registry.start(replace(EXPERIMENT, treatments=("2", "3")))
    lab.pass_time(hours=1)
    models = Meanwhile(lab.uri, lambda: lab.registry.stop("winter", outcome="It was stopped by hand."))
    after = ExperimentRegistry(models, now=lab.now).take_off("winter", "3", "it fails")
    assert after == lab.registry.get("winter")
    assert (after.stopped, after.outcome) == (START + timedelta(hours=1), "It was stopped by hand.")
    assert (after.taken_off, lab.tags()) == ({"3": "it fails"}, {})
    assert lab.registry.start(replace(EXPERIMENT, name="spring")).is_running


def test_a_take_off_between_the_read_and_the_write_of_a_stop_holds_and_so_does_the_stop(lab: Lab) -> None:
    lab.registry.start(replace(EXPERIMENT, treatments=("2", "3")))
    models = Meanwhile(lab.uri, lambda: lab.registry.take_off("winter", "3", "it fails"))
    after = ExperimentRegistry(models, now=lab.now).stop("winter", outcome="It was stopped by hand.")
    assert (after.is_running, after.taken_off, lab.tags()) == (False, {"3": "it fails"}, {})
    assert lab.tag("3", "experiment_reason") == "winter: it fails"


def test_two_ends_at_one_moment_leave_one_and_both_actions(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    promoted = ActionRecord(kind=ActionKind.PROMOTE, version="2", reason="it is better", at=START)
    models = Meanwhile(lab.uri, lambda: lab.registry.stop("winter", outcome="It was stopped by hand."))
    after = ExperimentRegistry(models, now=lab.now).stop("winter", outcome="it is better.", actions=(promoted,))
    assert (after.is_running, after.actions) == (False, (promoted,))


@pytest.mark.parametrize("part", ["end", "take_off.2"])
def test_a_record_that_cannot_be_read_is_told_by_its_tag(lab: Lab, part: str) -> None:
    lab.registry.start(EXPERIMENT)
    for text in ("{", "{}", "[]", '{"stopped": "?", "kind": "?"}'):
        lab.models.set_model_tag("lcgan", f"experiment.winter.{part}", text)
        with pytest.raises(ExperimentError, match=rf"the tag experiment\.winter\.{part} of the model lcgan"):
            lab.registry.get("winter")


def test_records_without_a_definition_are_told_and_end_no_experiment_of_their_name(lab: Lab) -> None:
    lab.models.set_model_tag("lcgan", "experiment.winter.end", "{}")
    assert lab.registry.list() == ()
    (told,) = lab.registry.unreadable()
    assert told.startswith("the tags experiment.winter.* of the model lcgan are records of an experiment whose")
    with pytest.raises(ExperimentError, match="remove them in MLflow"):
        lab.registry.start(EXPERIMENT)


def test_an_experiment_that_an_earlier_release_ended_reads_as_it_was(lab: Lab) -> None:
    record = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    whole = replace(EXPERIMENT, stopped=START, outcome="it failed", actions=(record,))
    lab.models.set_model_tag("lcgan", "experiment.winter", encode_definition(whole))
    assert lab.registry.get("winter") == lab.registry.stop("winter", outcome="again") == whole


def test_the_control_cannot_be_taken_off(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    with pytest.raises(ExperimentError, match="'1' is not a treatment"):
        lab.registry.take_off("winter", "1", "?")


def test_what_a_kill_left_between_definition_and_tags_is_settled(lab: Lab) -> None:
    lab.registry.start(STICKY)
    reason = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    cut_short = replace(STICKY, actions=(reason,))
    lab.models.set_model_tag("lcgan", "experiment.winter", encode_definition(cut_short))
    lab.registry.settle(lab.registry.get("winter"))
    assert (lab.tags(), lab.tag("2", "experiment_reason")) == ({}, "winter: it fails")
    assert lab.registry.settle(lab.registry.get("winter")) == ()


def test_settling_gives_no_version_requests_that_a_person_took_away(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    client = MlflowClient(lab.uri, lab.uri)
    client.delete_model_version_tag("lcgan", "2", "traffic_experiment")
    assert lab.registry.settle(lab.registry.get("winter")) == ()
    assert sorted(lab.tags()) == ["1"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"name": "winter"}', "[" * 5000, encode_definition(replace(EXPERIMENT, name="x"))]
)
def test_a_definition_that_cannot_be_read_is_told_and_the_others_are_listed(lab: Lab, text: str) -> None:
    lab.registry.start(replace(EXPERIMENT, name="spring"))
    lab.models.set_model_tag("lcgan", "experiment.winter", text or " ")
    assert [each.name for each in lab.registry.list()] == ["spring"]
    (told,) = lab.registry.unreadable()
    assert "experiment.winter of the model lcgan" in told
    with pytest.raises(ExperimentError, match=r"experiment\.winter of the model lcgan"):
        lab.registry.get("winter")


def test_an_experiment_that_does_not_exist_is_told_with_those_that_do(lab: Lab) -> None:
    with pytest.raises(ExperimentError, match="no experiment 'winter'; the experiments are: none"):
        lab.registry.get("winter")
    lab.registry.start(EXPERIMENT)
    with pytest.raises(ExperimentError, match="no experiment 'summer'; the experiments are: winter"):
        lab.registry.stop("summer", outcome="")


def test_a_definition_reads_back_as_it_was_also_beside_fields_of_a_later_release() -> None:
    record = ActionRecord(kind=ActionKind.PROMOTE, version="2", reason="better — by 9%", at=START)
    full = replace(EXPERIMENT, stopped=START, outcome="it was", auto=True, actions=(record,))
    text = encode_definition(full)
    assert parse_definition(text) == full
    assert parse_definition(text.replace('"format":1', '"format":2,"colour":"blue"')) == full


def test_the_longest_definition_fits_into_a_tag(lab: Lab) -> None:
    longest: Experiment = replace(EXPERIMENT, name="x" * 40, treatments=("2", "3"), design=ExperimentDesign.STICKY)
    lab.registry.start(longest)
    for version in ("2", "3"):
        lab.registry.take_off(longest.name, version, "ä" * 2000)
    stopped = lab.registry.stop(longest.name, outcome="ö" * 5000)
    assert lab.registry.get(longest.name) == stopped
