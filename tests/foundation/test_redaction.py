from __future__ import annotations

import logging
import subprocess
import sys
import timeit

import pytest

from foundation.redaction import RedactingFormatter, redacted

SECRET = "hush-Hush7"  # noqa: S105 - planted


@pytest.mark.parametrize(
    "text",
    [
        f"https://ann:{SECRET}@mlflow.example:5000/x",
        f"https://{SECRET}@mlflow.example",
        f"postgresql+psycopg2://ann:{SECRET}@db.example/mlflow",
        f"mysql://ann:a@{SECRET}@db.example/mlflow",
        f"mysql://ann:a/{SECRET}@db.example/mlflow",
        f"mysql://ann:a/b@{SECRET}@db.example/mlflow",
        f"postgresql://db.example/mlflow?user=ann&password={SECRET}",
        f"postgresql://db.example/mlflow?sslpassword={SECRET}&sslmode=require",
        f"https://models.s3.example/x.mar?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}#top",
        f"https://collector.example/v1/traces?api_key={SECRET}",
        f"GET /callback?access_token={SECRET} HTTP/1.1",
        f"headers: {{'Authorization': 'Bearer {SECRET}'}}",
        f"authorization: Basic {SECRET}",
        f"metadata=(('authorization', 'Bearer {SECRET}'),)",
        f"token dhb_0a1b2c3d_{SECRET * 4} is unknown",
        f"https://store.blob.example/x.mar?sv=2026&sig={SECRET}&se=1",
        f"https://maps.example/x?key={SECRET}",
        f"https://maps.example/x?api-key={SECRET}",
        f"X-API-Key: {SECRET}",
        f"{{'x-api-key': '{SECRET}', 'accept': '*/*'}}",
        f"metadata=(('x-api-key', '{SECRET}'),)",
        f"AccountName=ann;AccountKey={SECRET};EndpointSuffix=core.example",
        f"host=db user=ann password={SECRET}",
        f"host=db user=ann password='an a {SECRET}' port=5432",
        f"MLFLOW_TRACKING_PASSWORD={SECRET} MLFLOW_TRACKING_USERNAME=ann",
        f"MLFLOW_TRACKING_TOKEN: {SECRET}",
        f"Bearer {SECRET} was refused",
        f"https://ann:it's {SECRET}@mlflow.example",
        f"https://ann:123/{SECRET}@mlflow.example/x",
        f"seen=password={SECRET}",
    ],
)
def test_no_form_of_a_secret_stays_in_a_text(text: str) -> None:
    assert SECRET not in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/ann@work/mlflow.db",
        "http://127.0.0.1:5000/#/experiments/1/runs/ab?workflowType=machine_learning",
        "http://mlflow.example:5000/users/ann@work",
        "torchserve:/127.0.0.1:50051, lcgan@champion, lcgan/2",
        "mail ann@work.example; see https://work.example",
        "client bot, token 0a1b2c3d: dhb_0a1b2c3d_ and no more",
        "?max_tokens=24&seed=7",
        "http://127.0.0.1:5000, lcgan@champion; http://[::1]:5000 and lcgan@champion",
        "http://mlflow:5000/#/models/lcgan@champion",
        "the password: too short; eos_token=0, tokens=24, sorted(key=len)",
        "access_token: Field required",
        "https://example.org?api_key=[secret]",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "unit", ["?token", "token", "://a:b", "://a:1/b", "password='", "Bearer ", "a.b-", "x=[", "&=;:"]
)
def test_the_time_grows_with_the_length_of_hostile_text(unit: str) -> None:
    def time_of(repeats: int) -> float:
        text = f"?{unit * repeats}"
        return min(timeit.repeat(lambda: redacted(text), number=1, repeat=3))

    assert time_of(20_000) < 40 * time_of(2_000)


def test_a_log_holds_no_secret_of_a_traceback_or_of_an_argument() -> None:
    formatter = RedactingFormatter("%(levelname)s %(message)s")
    try:
        float(f"https://ann:{SECRET}@mlflow.example")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "failed: %s", (f"?token={SECRET}",), sys.exc_info())
    text = formatter.format(record)
    assert SECRET not in text
    assert "Traceback" in text
    assert "failed: ?token=***" in text


def test_a_program_that_ends_with_a_fault_of_its_own_shows_no_secret() -> None:
    program = (
        "import sys, deephypebot\n"
        "from foundation.redaction import show_uncaught\n"
        "sys.excepthook = show_uncaught\n"
        "raise KeyError('https://ann:' + 'hush-' + 'Hush7' + '@mlflow.example')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "KeyError: 'https://***@mlflow.example'" in done.stderr
    assert SECRET not in done.stderr


def test_a_thread_and_a_finalizer_that_fail_show_no_secret() -> None:
    program = (
        "import sys, threading, deephypebot\n"
        "sys.argv = ['deephypebot', '--version']\n"
        "try: deephypebot.main()\n"
        "except SystemExit: pass\n"
        "def fail(*_): raise KeyError('https://ann:' + 'hush-' + 'Hush7' + '@mlflow.example')\n"
        "thread = threading.Thread(target=fail, name='sender'); thread.start(); thread.join()\n"
        "type('Finalized', (), {'__del__': fail})()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.count("KeyError: 'https://***@mlflow.example'") == 2, done.stderr
    assert "thread sender" in done.stderr
    assert SECRET not in done.stderr
