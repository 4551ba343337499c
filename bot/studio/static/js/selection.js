// The selected candidate, and the moves between candidates, songs and pages.

import { find, findAll } from "./dom.js";
import { leave } from "./outbox.js";

export const candidates = () => findAll(".candidate");
export const current = () => find(".candidate.is-current");
export const cardOf = (id) => candidates().find((card) => card.dataset.id === id);
export const songOf = (card) => card?.closest(".song") ?? null;
// A card whose verdict is being sent no longer counts as waiting.
export const waits = (card) => card.dataset.status === "waiting" && !("sending" in card.dataset);

let hasKeys = false; // Whether the last move was by keyboard: the page scrolls for keys alone, never under the mouse.
let ruled = null; // The song of the last verdict, until the curator moves the selection.

// The song that "the rest" means: that of the last verdict, even if the selection has moved on from it.
export const songInHand = () => (ruled?.isConnected ? ruled : songOf(current()));
export const movedByHand = () => (ruled = null);

export function choose(card, { focus = true, scroll = hasKeys } = {}) {
  if (!card) return;
  const before = current();
  if (before && before !== card) {
    before.classList.remove("is-current");
    before.tabIndex = -1;
  }
  card.classList.add("is-current");
  card.tabIndex = 0;
  if (focus) card.focus({ preventScroll: true });
  if (focus && scroll) card.scrollIntoView({ block: "nearest" });
}

export const showWhole = (card) => hasKeys && card.scrollIntoView({ block: "nearest" });

export function step(direction) {
  movedByHand();
  const all = candidates();
  const here = all.indexOf(current());
  const next = here < 0 ? 0 : here + direction;
  if (next >= all.length) return turnPage();
  choose(all[Math.max(next, 0)]);
}

export function stepSong(direction) {
  movedByHand();
  const songs = findAll(".song");
  const here = songs.indexOf(songOf(current()));
  const next = songs[Math.max(here + direction, 0)];
  if (!next) return turnPage();
  const cards = findAll(".candidate", next);
  choose(cards.find(waits) ?? cards[0]);
  if (hasKeys) next.scrollIntoView({ block: "nearest" });
}

// After a verdict: the next candidate that waits.
export function moveOnFrom(card) {
  const all = candidates();
  const here = all.indexOf(card);
  const next = all.slice(here + 1).find(waits) ?? all.slice(0, here).find(waits);
  ruled = songOf(card);
  choose(next ?? card);
}

export const follow = (link) => link && leave(() => location.assign(link.href));
export const turnPage = () => follow(find("[data-next]"));

export function setup() {
  document.addEventListener("keydown", (event) => {
    hasKeys = true;
    if (event.key === "Tab") movedByHand();
  }, { capture: true });
  document.addEventListener("pointerdown", () => (hasKeys = false), { capture: true });
  document.addEventListener("focusin", (event) => choose(event.target.closest?.(".candidate"), { focus: false }));
  document.addEventListener("pointerdown", (event) => {
    const card = event.target.closest?.(".candidate");
    if (!card) return;
    movedByHand();
    choose(card, { focus: false });
  });
  choose(location.hash.startsWith("#c-") ? find(".candidate:target") : candidates().find(waits), { scroll: true });
}
