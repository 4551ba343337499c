// The counts in the header, renewed while a page is open.

import { showCounts } from "./cards.js";
import { FRAGMENT_HEADER, find, parse } from "./dom.js";

const COUNT_EVERY_MS = 20_000;

async function refreshCount() {
  if (document.hidden || !find("#waiting")) return;
  try {
    const answer = await fetch("/waiting", { headers: { [FRAGMENT_HEADER]: "1" } });
    if (!answer.ok) return;
    showCounts(parse(await answer.text()));
  } catch {
    // The studio may be restarting; the next refresh retries.
  }
}

export function setup() {
  setInterval(refreshCount, COUNT_EVERY_MS);
}
