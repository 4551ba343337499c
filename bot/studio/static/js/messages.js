// The line in the header that says what has just happened.

import { find, findAll } from "./dom.js";

const MESSAGE_MS = 8_000;
let silence;

export function say(message, { undo = false, fault = false } = {}) {
  const line = find(".toast");
  find("[data-message]", line).textContent = message;
  line.title = message;
  find("[data-undo]", line).hidden = !undo;
  line.classList.toggle("is-fault", fault);
  line.classList.add("is-shown");
  clearTimeout(silence);
  // A fault stays until something else is said.
  if (!fault) silence = setTimeout(clear, MESSAGE_MS);
}

function clear() {
  const line = find(".toast");
  line.classList.remove("is-shown");
  line.title = find("[data-message]", line).textContent = "";
  find("[data-undo]", line).hidden = true;
}

// A verdict that was not saved is marked on its card until the next one, and counted in the header.
export function markFailed(card, message) {
  card.dataset.failed = "";
  const note = find(".unsaved", card) ?? document.createElement("p");
  note.className = "unsaved";
  note.textContent = `Not saved: ${message}`;
  find("footer", card).before(note);
  countFailed();
}

export function clearFailed(card) {
  delete card.dataset.failed;
  find(".unsaved", card)?.remove();
  countFailed();
}

export function countFailed() {
  const button = find("[data-unsaved]");
  const count = findAll(".candidate[data-failed]").length;
  button.hidden = !count;
  button.textContent = `${count} not saved`;
}
