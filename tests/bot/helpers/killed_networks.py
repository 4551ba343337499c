"""Kill a bot at every moment of its work with X and Google Sheets; see `tests.bot.helpers.killed_sandbox`.

Run as a program: `python -m tests.bot.helpers.killed_networks FOLDER STRIDE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.services.summary import Summary
from bot.settings import BotSettings
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.killed_sandbox import Scene
from tests.bot.helpers.networked import PASSES, bot_settings, contents, one_pass, people_post


def prepare(folder: Path, sandbox: SandboxSettings, control: SandboxControl) -> BotSettings:
    people_post(control)
    return bot_settings(folder, sandbox)


def passes(settings: BotSettings, control: SandboxControl, countdown: Countdown) -> Iterator[Summary]:
    for _ in range(PASSES):
        yield one_pass(settings, control, CountedCommentary(countdown))


if __name__ == "__main__":
    Scene(prepare=prepare, passes=passes, contents=contents).print_all(Path(sys.argv[1]), int(sys.argv[2]))
