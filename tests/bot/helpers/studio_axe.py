"""Rules of WCAG 2.2 AA, as axe-core and the tests of the studio check them in a browser."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

AXE = Axe()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES_OF_COLOUR = ["color-contrast", "link-in-text-block"]
"""Rules that another theme may break; no other one reads colours."""
CONTRASTS = """() => {
  // WCAG 2: at least 4.5 to 1 between a text, opacity included, and what is behind it; also on disabled buttons.
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [red, green, blue].map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const chain = (element) => element ? [element, ...chain(element.parentElement)] : [];
  const behind = (element) => {
    for (const each of chain(element)) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".sr, dialog:not([open])")) continue;
    const paper = behind(element);
    const opacity = chain(element).reduce((product, each) => product * Number(getComputedStyle(each).opacity), 1);
    const colour = parts(getComputedStyle(element).color).slice(0, 3);
    const ink = colour.map((part, place) => opacity * part + (1 - opacity) * paper[place]);
    const [one, two] = [light(ink), light(paper)].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < 4.5) poor.push(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""


def violations(page: Page, *, rules: list[str] = RULES) -> list[str]:
    # The first songs have everything, and axe looks long at each text.
    page.locator(".song").evaluate_all("songs => songs.slice(5).forEach((song) => song.remove())")
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = AXE.run(page, options=options).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]
