"""Settings: from options, environment, .env and TOML; wrong ones are named, secrets are never shown."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.errors import SettingsError
from bot.settings import BotSettings, load


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORKSPACE", "FEED", "CATALOG", "TARGET", "CONFIG"):
        monkeypatch.delenv(f"DEEPHYPEBOT_{name}", raising=False)


def test_with_nothing_set_the_bot_is_local_and_posts_nothing() -> None:
    settings = load()
    assert settings == BotSettings()
    assert [name for name, section in settings.accounts.items() if section.is_on] == []
    assert (settings.post.to, settings.post.dry_run, settings.metrics_port) == ("", True, 0)


def test_the_pace_of_posts_has_a_hold_a_gap_and_one_post_a_song(monkeypatch: pytest.MonkeyPatch) -> None:
    post = load().post
    assert (post.hold, post.min_gap, post.posting_hours) == (timedelta(minutes=2), timedelta(minutes=30), None)
    assert post.same_song_days == 365
    monkeypatch.setenv("DEEPHYPEBOT_POST__HOLD", "90")
    monkeypatch.setenv("DEEPHYPEBOT_POST__MIN_GAP", "1 h")
    monkeypatch.setenv("DEEPHYPEBOT_POST__HOURS", "22:00-6:00 America/New_York")
    post = load().post
    assert (post.hold, post.min_gap) == (timedelta(seconds=90), timedelta(hours=1))
    assert str(post.posting_hours) == "22:00–6:00 America/New_York"


def test_a_section_knows_its_own_name() -> None:
    assert all(section.part == name for name, section in BotSettings().accounts.items())


def test_options_come_before_the_environment_before_dotenv_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "deephypebot.toml").write_text(
        'num_samples = 1\nconcurrency = 1\ninterval_s = 1\nmodel = "file"\n[x]\nconsumer_key = "file"\n'
    )
    (tmp_path / ".env").write_text(
        "DEEPHYPEBOT_NUM_SAMPLES=2\nDEEPHYPEBOT_CONCURRENCY=2\nDEEPHYPEBOT_INTERVAL_S=2\n"
        "DEEPHYPEBOT_X__ACCESS_TOKEN=dotenv\nOTHER=x\nDEEPHYPEBOT_MODEL_STORE=elsewhere\n"
    )
    monkeypatch.setenv("DEEPHYPEBOT_NUM_SAMPLES", "3")
    monkeypatch.setenv("DEEPHYPEBOT_CONCURRENCY", "3")
    settings = load(num_samples=4, concurrency=None)
    assert (settings.num_samples, settings.concurrency, settings.interval_s, settings.model) == (4, 3, 2, "file")
    assert set(settings.secrets()) == {"file", "dotenv"}
    assert settings.x.missing == ("consumer_secret", "access_token_secret")
    assert (settings.x.is_begun, settings.x.is_on, settings.spotify.is_begun) == (True, False, False)


def test_secrets_show_as_stars(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[x]\naccess_token = "hush"\n[lastfm]\napi_key = "hush"\n')
    settings = load(path)
    assert "hush" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert list(settings.secrets()) == ["hush", "hush"]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("num_samples = 0", r"--num-samples: .* 1, got 0"),
        ("[post]\nper_day = -1", r"post\.per_day \(in the environment DEEPHYPEBOT_POST__PER_DAY\): .*got -1"),
        ("[post]\nhold = -1", r"post\.hold \(in the environment DEEPHYPEBOT_POST__HOLD\): .* is 0 or longer, got -1$"),
        ('[post]\nmin_gap = "soon"', r'post\.min_gap .*such as "90 s", "30 min", "2 h", "1 d", got \'soon\''),
        ('[post]\nmin_gap = "2 d"', r"post\.min_gap .*at most 1 d is possible, got 2 d"),
        ("[post]\nsame_song_days = -1", r"post\.same_song_days .*got -1"),
        ("[post]\nmax_age_days = inf", "max_age_days.*less than or equal to 36500"),
        ('[post]\nhold = "1 h"\nmax_age_days = 0.01', r"post .*hold, 1 h, must be shorter than max_age_days, 0\.01"),
        (
            '[post]\nhours = "9-9 UTC"',
            r"post\.hours .*end after they begin; leave them empty for always, got '9-9",
        ),
        ('[post]\nhours = "9-22 Berlin"', r"post\.hours .*unknown time zone 'Berlin'; did you mean Europe/Berlin\?"),
        ('[post]\nto = "myspace"', r"post\.to .*file\|x\|bluesky\|mastodon"),
        ('[x]\nacces_token = "hush"', r"unknown setting: x\.acces_token .*DEEPHYPEBOT_X__ACCES_TOKEN"),
        ('x = "hush"', r"x \(in the environment DEEPHYPEBOT_X\)"),
        ('twitter = "hush"', r"unknown setting in .*mine\.toml: twitter"),
        ("[x", r"mine\.toml are not valid TOML"),
        ('[x]\ntimeout_s = "hush"', r"x\.timeout_s .*valid number"),
    ],
)
def test_a_wrong_setting_is_named_and_its_text_is_not_shown(tmp_path: Path, toml: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError, match=message) as caught:
        load(path)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None or "hush" not in str(caught.value.__cause__)


@pytest.mark.parametrize("name", ["template", "reply_template", "named_template"])
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{artist} – {song}: {text}", "unknown field {song}; a template has {artist}, {title}, {text}"),
        ("{artist} – {title}", "a template has {text} once, got '{artist} – {title}'"),
        ("{text:>9}", "a field of a template is a name in braces alone, got '{text:>9}'"),
        ("{text", "braces of a template are around a field's name"),
    ],
)
def test_a_template_that_means_nothing_is_refused_at_the_start(
    tmp_path: Path, name: str, template: str, message: str
) -> None:
    config = tmp_path / "bot.toml"
    config.write_text(f"[post]\n{name} = '{template}'\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config)
    assert f"post.{name}" in str(caught.value)
    assert message in str(caught.value)


def test_a_template_may_have_every_field_and_lines(tmp_path: Path) -> None:
    config = tmp_path / "bot.toml"
    template = "{artist} {title}: {text}\\n{genres} {link} {source} {{}}"
    config.write_text(f'[post]\ntemplate = "{template}"\n', encoding="utf-8")
    assert load(config).post.template == template.replace("\\n", "\n")


def test_a_file_that_is_named_and_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file.*--config"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("DEEPHYPEBOT_CONFIG", str(tmp_path / "bytes.toml"))
    with pytest.raises(SettingsError, match=r"bytes\.toml cannot be read"):
        load()


@pytest.mark.parametrize("value", ["hush", "file", "{", "[1]"])
def test_a_section_given_as_one_variable_says_which_variables_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    message = r"DEEPHYPEBOT_SHEET\b.*(DEEPHYPEBOT_SHEET__|valid dictionary)"
    monkeypatch.setenv("DEEPHYPEBOT_SHEET", value)
    with pytest.raises(SettingsError, match=message) as caught:
        load()
    assert "hush" not in str(caught.value)
    monkeypatch.delenv("DEEPHYPEBOT_SHEET")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"DEEPHYPEBOT_SHEET={value}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        load()


def test_a_dotenv_of_another_encoding_costs_its_own_variables_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes("# für alle\nOTHER=caf\xe9\nDEEPHYPEBOT_INTERVAL_S=7\n".encode("latin-1"))
    assert load().interval_s == 7
    (tmp_path / ".env").write_bytes(b"DEEPHYPEBOT_MODEL=caf\xe9\n")
    with pytest.raises(SettingsError, match=r"DEEPHYPEBOT_MODEL in \.env is not UTF-8"):
        load()
    (tmp_path / ".env").write_text("DEEPHYPEBOT_INTERVAL_S=7\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
        load()
    (tmp_path / ".env").write_text("\ufeffDEEPHYPEBOT_INTERVAL_S=8\n", encoding="utf-8")
    assert load().interval_s == 8
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    assert load().interval_s == 60


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPHYPEBOT_INTERVAL_S", "")
    assert load().interval_s == 60


def test_the_variables_of_a_kubernetes_service_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPHYPEBOT_METRICS_PORT", "tcp://10.96.0.7:9108")
    monkeypatch.setenv("DEEPHYPEBOT_METRICS_PORT_9108_TCP", "tcp://10.96.0.7:9108")
    assert load().metrics_port == 0
    monkeypatch.setenv("DEEPHYPEBOT_METRICS_PORT", "9108")
    assert load().metrics_port == 9108


def test_the_metrics_are_served_to_this_machine_alone_unless_another_address_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().metrics_host == "127.0.0.1"
    monkeypatch.setenv("DEEPHYPEBOT_METRICS_HOST", "0.0.0.0")  # noqa: S104 -- what an operator sets in a container
    assert load().metrics_host == "0.0.0.0"  # noqa: S104
