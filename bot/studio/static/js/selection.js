// The selected candidate, and the moves between candidates, songs and pages.

import { find, findAll } from "./dom.js";

export const candidates = () => findAll(".candidate");
export const current = () => find(".candidate.is-current");
export const cardOf = (id) => candidates().find((card) => card.dataset.id === id);
// A card whose verdict is being sent no longer counts as waiting.
export const waits = (card) => card.dataset.status === "waiting" && !("sending" in card.dataset);

export function choose(card, { focus = true } = {}) {
  if (!card) return;
  const before = current();
  if (before && before !== card) {
    before.classList.remove("is-current");
    before.tabIndex = -1;
  }
  card.classList.add("is-current");
  card.tabIndex = 0;
  if (focus) {
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }
}

export function step(direction) {
  const all = candidates();
  const here = all.indexOf(current());
  const next = here < 0 ? 0 : here + direction;
  if (next >= all.length) return turnPage();
  choose(all[Math.max(next, 0)]);
}

export function stepSong(direction) {
  const songs = findAll(".song");
  const here = songs.indexOf(current()?.closest(".song"));
  const next = songs[Math.max(here + direction, 0)];
  if (!next) return turnPage();
  const cards = findAll(".candidate", next);
  choose(cards.find(waits) ?? cards[0]);
  next.scrollIntoView({ block: "nearest" });
}

export function chooseWaitingAfter(card) {
  const all = candidates();
  const here = all.indexOf(card);
  const next = all.slice(here + 1).find(waits) ?? all.slice(0, here).find(waits);
  choose(next ?? card);
}

export const turnPage = () => find("[data-next]")?.click();

export function setup() {
  document.addEventListener("focusin", (event) => choose(event.target.closest?.(".candidate"), { focus: false }));
  document.addEventListener("click", (event) => {
    const card = event.target.closest?.(".candidate");
    if (card) choose(card, { focus: false });
  });
  choose(location.hash.startsWith("#c-") ? find(".candidate:target") : candidates().find(waits), { focus: Boolean(candidates().length) });
}
