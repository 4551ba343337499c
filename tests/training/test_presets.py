from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.decoder import DecoderConfig
from training.errors import SettingError
from training.fingerprints import fingerprint
from training.presets import PRESETS, preset
from training.settings import CvaeSettings, LcganSettings, TopicSettings, TrainSettings


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_found_by_its_name_and_makes_a_model(name: str) -> None:
    settings = preset(name)
    assert settings.preset == name
    cvae = settings.cvae
    DecoderConfig(
        vocabulary_size=cvae.max_vocabulary, num_genres=300, embedding_size=cvae.embedding_size,
        hidden_size=cvae.hidden_size, z_size=cvae.z_size, genre_size=cvae.genre_size,
    )  # fmt: skip
    assert set(settings.flat()) >= {"preset", "seed", "cvae.z_size", "topics.passes", "lcgan.steps"}


def test_an_unknown_preset_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"'nope'.*demo, reference"):
        preset("nope")


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    changed = TrainSettings().with_overrides(
        ["cvae.z_size=16", " lcgan.distance_weight =0.3", "topics.candidates=3, 5", "seed=11", "cvae.z_size=20"]
    )
    expected = dataclasses.replace(
        TrainSettings(),
        seed=11,
        cvae=CvaeSettings(z_size=20),
        lcgan=LcganSettings(distance_weight=0.3),
        topics=TopicSettings(candidates=(3, 5)),
    )
    assert changed == expected


def test_seed_words_are_a_list_of_words() -> None:
    assert TrainSettings().with_overrides(["topics.seed_words=hiss, hum"]).topics.seed_words == ("hiss", "hum")


@pytest.mark.parametrize("name", TrainSettings().flat())
def test_every_setting_but_the_presets_name_can_be_set_to_the_value_it_has(name: str) -> None:
    settings = TrainSettings()
    value = settings.flat()[name]
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if name == "preset":
        with pytest.raises(SettingError):
            settings.with_overrides([f"{name}={text}"])
    else:
        assert settings.with_overrides([f"{name}={text}"]) == settings


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("cvae.z_size", "STAGE.NAME=VALUE"),
        ("", "STAGE.NAME=VALUE"),
        ("cvae.zsize=3", r"no setting 'cvae\.zsize'.*z_size"),
        ("vae.z_size=3", r"no stage 'vae'.*topics, cvae, lcgan"),
        ("velocity=3", r"no setting 'velocity'; settings here are seed, or are written STAGE\.NAME, as in topics\."),
        ("z_size=3", r"no setting 'z_size'; there is cvae\.z_size"),
        ("num_samples=3", r"there is lcgan\.num_samples and acceptability\.num_samples"),
        ("cvae.distance_weight=3", r"there is lcgan\.distance_weight"),
        ("lcgan.distance_wieght=3", r"there is lcgan\.distance_weight"),
        ("cvae=3", "no setting 'cvae'"),
        ("cvae.z_size=many", r"cvae\.z_size takes int, as in cvae\.z_size=32; got 'many'"),
        ("cvae.z_size=1.5", "takes int"),
        ("cvae.z_size=", "takes int"),
        ("cvae.dropout=x", "takes float"),
        ("topics.candidates=4,x", "takes tuple"),
        ("topics.candidates=", "takes tuple"),
        ("cvae.z_size=0", "z_size must be at least 1, got 0"),
        ("cvae.batch_size=2", "batch_size must be at least 3"),
        ("cvae.dropout=nan", "dropout must be between 0 and 0.95"),
        ("cvae.dropout=1", "dropout must be between"),
        ("cvae.learning_rate=-1", "learning_rate must be"),
        ("cvae.learning_rate=inf", "learning_rate must be"),
        ("cvae.warm_up=2", "warm_up must be"),
        ("lcgan.num_samples=3", "num_samples must be at least 20"),
        ("lcgan.steps=0", "steps must be at least 1"),
        ("lcgan.topic_weight=nan", "topic_weight must be at least 0"),
        ("topics.candidates=1,4", "numbers of topics from 2 on"),
        ("topics.max_share=0", "max_share must be"),
        ("seed=-1", "seed must be"),
        ("seed=99999999999", "seed must be"),
    ],
)
def test_a_wrong_override_is_an_error_that_says_what_is_right(assignment: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TrainSettings().with_overrides([assignment])


@pytest.mark.slow
@given(st.integers(1, 10_000), st.integers(0, 2**31 - 1))
def test_any_other_setting_or_seed_has_another_fingerprint(size: int, seed: int) -> None:
    base = TrainSettings()
    other = dataclasses.replace(base, seed=seed, cvae=dataclasses.replace(base.cvae, hidden_size=size))
    assert (fingerprint("cvae", other) == fingerprint("cvae", base)) == (other == base)
    assert fingerprint("cvae", other) == fingerprint("cvae", dataclasses.replace(other))


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainSettings().seed = 3  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize(("text", "value"), [("false", False), ("True", True), ("0", False), ("yes", True)])
def test_a_setting_that_is_true_or_false_takes_either_word(text: str, value: bool) -> None:
    assert TrainSettings().with_overrides([f"topics.seeded={text}"]).topics.seeded is value


def test_another_word_for_true_or_false_is_refused() -> None:
    with pytest.raises(SettingError, match=r"topics\.seeded takes bool, as in topics\.seeded=True; got 'perhaps'"):
        TrainSettings().with_overrides(["topics.seeded=perhaps"])
