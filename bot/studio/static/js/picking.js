// Several candidates at once: selected by click or key, decided in one step, with one undo.

import { find, findAll } from "./dom.js";
import { bind } from "./keys.js";
import { say } from "./messages.js";
import { candidates, choose, current, movedByHand } from "./selection.js";
import { press, submit } from "./verdicts.js";

const bar = () => find("#selection");
const boxOf = (card) => card && find("[data-pick]", card);
const picked = () => findAll("[data-pick]:checked");
let anchor = null; // The card from which a range reaches.

function show() {
  const count = picked().length;
  bar().hidden = !count;
  find("[data-selected]", bar()).textContent = count ? `${count} selected` : "";
}

export function unselect() {
  for (const box of picked()) box.checked = false;
  show();
}

function toggle(card) {
  const box = boxOf(card);
  if (!box) return say(card ? "The candidate already has a verdict." : "Select a candidate with j.");
  box.checked = !box.checked;
  anchor = card;
  show();
}

// Everything between two cards, both included; what has a verdict has no box.
function pickRange(from, to) {
  const all = candidates();
  const ends = [all.indexOf(from), all.indexOf(to)].sort((one, other) => one - other);
  for (const box of all.slice(ends[0], ends[1] + 1).map(boxOf)) if (box) box.checked = true;
  show();
}

function extend(direction) {
  const all = candidates();
  const here = current();
  const next = all[all.indexOf(here) + direction];
  if (!here || !next) return;
  if (!anchor?.isConnected || !boxOf(here)?.checked) anchor = here;
  movedByHand();
  choose(next, { scroll: true });
  pickRange(anchor, next);
}

// The form of a verdict on what is selected, as the queue's other forms are.
function decide(decision, reason = "") {
  const form = document.createElement("form");
  const add = (tag, name, value) => form.append(Object.assign(document.createElement(tag), { name, value }));
  add("input", "back", find("[name=back]", bar()).value);
  if (reason) add("input", "reason", reason);
  for (const box of picked()) {
    const [seen, ...id] = box.value.split(":");
    add("input", "candidate", id.join(":"));
    add("input", "seen", seen);
  }
  add("button", "decision", decision);
  unselect();
  submit(form, form.lastElementChild);
}

function rejectFor(number) {
  const button = find(`[data-reason="${number}"]`, current() ?? find("main"));
  if (picked().length && button) return decide("reject", button.value);
  if (!current()) return say("Select a candidate with j.");
  if (!button || "sending" in current().dataset) return say("The candidate already has a verdict. Undo it first.");
  button.click();
}

function onClick(event) {
  const card = event.target.closest?.(".candidate");
  if (event.target.closest?.("[data-pick]")) {
    if (event.shiftKey && anchor?.isConnected && event.target.checked) pickRange(anchor, card);
    anchor = card;
    return show();
  }
  if (!event.shiftKey || !card || event.target.closest("a, button, input, textarea, summary, label")) return;
  getSelection().removeAllRanges();
  pickRange(anchor?.isConnected ? anchor : card, card);
  anchor = card;
}

function onKey(event) {
  if (event.target.closest?.("textarea, select, input:not([type=checkbox])") || find("dialog[open]")) return;
  if (event.key === "Escape" && picked().length) return unselect();
  if (!event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  extend(event.key === "ArrowDown" ? 1 : -1);
}

export function setup() {
  if (!bar()) return;
  find("[data-unselect]", bar()).hidden = false;
  find("[data-unselect]", bar()).addEventListener("click", unselect);
  bar().addEventListener("submit", (event) => {
    event.preventDefault();
    decide(event.submitter.value);
  });
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  bind("v", () => toggle(current()));
  bind("a", () => (picked().length ? decide("accept") : press("accept")));
  bind("r", () => (picked().length ? decide("reject") : press("reject")));
  for (const number of "12345") bind(number, () => rejectFor(number));
  show();
}
