// Keyboard shortcuts. A module adds its own with `bind`. Keys of a single character can be switched off.

import { find, findAll } from "./dom.js";
import { closeEditor, openEditor } from "./editor.js";
import { say } from "./messages.js";
import { isLeaving, leave } from "./outbox.js";
import { current, follow, songOf, step, stepSong, turnPage } from "./selection.js";
import { ofBrowser } from "./storage.js";
import { press, rejectRest, undo } from "./verdicts.js";

const SWITCH = "single-letter keys";
const PLACES = { q: "/", p: "/posted", t: "/try", m: "/models", e: "/experiments" };
const MOVES = "jkJK";
const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  J: () => stepSong(1),
  K: () => stepSong(-1),
  a: () => press("accept"),
  A: () => press("only"),
  r: () => press("reject"),
  x: rejectRest,
  e: () => openEditor(current()),
  u: undo,
  o: () => find("[data-source]", songOf(current()) ?? document.createElement("i"))?.click(),
  n: turnPage,
  p: () => follow(find("[data-previous]") ?? find("[data-first]")),
  s: () => follow(find("[data-again]")),
  "?": () => find("#help").showModal(),
};
let going = 0;

// One key for one action.
export function bind(key, act) {
  KEYS[key] = act;
}

const areOn = () => ofBrowser.get(SWITCH) !== "off";

// Buttons announce their keys to assistive technology, and show them, only while they work.
function showSwitch() {
  document.documentElement.dataset.keys = areOn() ? "on" : "off";
  find("[data-keys-switch]").checked = areOn();
  for (const element of findAll("[data-shortcut]")) {
    if (areOn()) element.setAttribute("aria-keyshortcuts", element.dataset.shortcut);
    else element.removeAttribute("aria-keyshortcuts");
  }
}

function onEditorKey(event, editor) {
  if (event.key === "Escape") {
    closeEditor(editor);
    event.preventDefault();
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    find("button.accept", editor).click();
    event.preventDefault();
  }
}

function onKey(event) {
  const editor = event.target.closest?.(".editor[open]");
  if (editor) onEditorKey(event, editor);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("dialog[open]") || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  if (!areOn() || isLeaving()) return;
  if (Date.now() - going < 1_000 && PLACES[event.key]) {
    going = 0;
    leave(() => location.assign(PLACES[event.key]));
    return event.preventDefault();
  }
  going = event.key === "g" ? Date.now() : 0;
  const act = KEYS[event.key];
  // A key that is held down repeats moves, but never verdicts.
  if (!act || (event.repeat && !MOVES.includes(event.key))) return;
  event.preventDefault();
  act();
}

export function setup() {
  document.addEventListener("keydown", onKey);
  const help = find("[data-help]");
  help.hidden = false;
  help.addEventListener("click", () => find("#help").showModal());
  find("[data-keys-switch]").addEventListener("change", (event) => {
    ofBrowser.set(SWITCH, event.target.checked ? "on" : "off");
    showSwitch();
    say(event.target.checked ? "Single-letter keys work." : "Single-letter keys are off.");
  });
  showSwitch();
  // Cards that arrive later.
  new MutationObserver(showSwitch).observe(find("main"), { childList: true, subtree: true });
}
