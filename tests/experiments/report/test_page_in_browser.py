"""The report's page in headless Chromium, at the width of a desk and of a telephone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from experiments.report.making import make_report
from experiments.report.page import write_report
from serving.traffic.experiment import ExperimentDesign
from tests.bot.helpers.studio_axe import CONTRASTS, violations
from tests.bot.helpers.studio_browser import needs_chromium, open_chromium
from tests.experiments.report.support import evidence

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("reports")
    made = [
        evidence({"1": 0.4, "2": 0.6, "3": 0.5}, songs=60, failures=0.4, half=2),
        evidence({"1": 0.4, "2": 0.6}, songs=60, design=ExperimentDesign.STICKY),
        evidence({"1": 0.4, "2": 0.6}, songs=0),
    ]
    return [write_report(make_report(each), folder / str(number))[1] for number, each in enumerate(made)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_violates_no_rule_of_axe_and_fits(
    chromium: Browser, pages: list[Path], scheme: Literal["light", "dark"], width: int
) -> None:
    with chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}) as context:
        for path in pages:
            page = context.new_page()
            page.goto(path.as_uri())
            assert violations(page) == []
            assert page.evaluate(CONTRASTS) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "shown"), [(390, "narrow"), (1280, "full")])
def test_each_plot_is_shown_once_at_its_size(chromium: Browser, pages: list[Path], width: int, shown: str) -> None:
    with chromium.new_context(viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        page.goto(pages[0].as_uri())
        visible = page.locator(".plot svg").evaluate_all(
            "plots => plots.filter((plot) => plot.checkVisibility()).map((plot) => plot.getAttribute('class'))"
        )
        assert visible == [shown, shown]
        # Text keeps its size: the plot is drawn for about the width that it has.
        drawn = page.locator(f".plot svg.{shown}").first.evaluate(
            "plot => plot.getBoundingClientRect().width / plot.viewBox.baseVal.width"
        )
        assert drawn == pytest.approx(1.0, abs=0.12)
