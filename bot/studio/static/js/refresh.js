// Counts and cards, renewed while a page is open, so that several curators see each other's verdicts.

import { replace } from "./cards.js";
import { FRAGMENT_HEADER, find, parse } from "./dom.js";
import { isLeaving, unsent } from "./outbox.js";
import { candidates } from "./selection.js";

const EVERY_MS = 20_000;

async function refresh() {
  if (document.hidden || unsent() || isLeaving() || !find("#waiting")) return;
  const cards = candidates().filter((card) => card.dataset.id);
  const fields = cards.flatMap((card) => [["candidate", card.dataset.id], ["state", card.dataset.state]]);
  try {
    const answer = await fetch("/changed", { method: "POST", body: new URLSearchParams(fields), headers: { [FRAGMENT_HEADER]: "1" } });
    // Verdicts that were given meanwhile bring newer cards.
    if (answer.ok && !unsent()) replace(parse(await answer.text()));
  } catch {
    // The studio may be restarting; the next refresh retries.
  }
}

export function setup() {
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
}
