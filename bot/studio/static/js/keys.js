// Keyboard shortcuts. A module adds its own with `bind`.

import { find } from "./dom.js";
import { closeEditor, openEditor } from "./editor.js";
import { current, step, stepSong, turnPage } from "./selection.js";
import { inTurn, press, undo } from "./verdicts.js";

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  J: () => stepSong(1),
  K: () => stepSong(-1),
  a: () => press("accept"),
  r: () => press("reject"),
  x: () => find(".rest:not([hidden]) button", current()?.closest(".song") ?? document.createElement("i"))?.click(),
  e: () => openEditor(current()),
  u: () => inTurn(undo),
  o: () => find("[data-source]", current()?.closest(".song") ?? document.createElement("i"))?.click(),
  n: turnPage,
  p: () => find("[data-first]")?.click(),
  s: () => find("[data-again]")?.click(),
  "?": () => find("#help").showModal(),
};
const PLACES = { q: "/", p: "/posted", t: "/try", m: "/models" };
let going = 0;

// One key for one action.
export function bind(key, act) {
  KEYS[key] = act;
}

function onKey(event) {
  const editor = event.target.closest?.(".editor");
  if (editor && event.key === "Escape") {
    closeEditor(editor);
    return event.preventDefault();
  }
  if (editor && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    find("button.accept", editor).click();
    return event.preventDefault();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || find("dialog[open]")) return;
  if (event.target.closest?.("input, textarea, select")) return;
  if (Date.now() - going < 1_000 && PLACES[event.key]) {
    location.assign(PLACES[event.key]);
    return event.preventDefault();
  }
  going = event.key === "g" ? Date.now() : 0;
  const act = KEYS[event.key];
  // A key that is held down repeats moves, but never verdicts.
  if (!act || (event.repeat && !"jkJK".includes(event.key))) return;
  event.preventDefault();
  act();
}

export function setup() {
  document.addEventListener("keydown", onKey);
  const help = find("[data-help]");
  help.hidden = false;
  help.addEventListener("click", () => find("#help").showModal());
}
