// The line at the bottom that says what has just happened.

import { find } from "./dom.js";

const TOAST_MS = 8_000;
let silence;

export function say(message, { undo: withUndo = false, fault = false } = {}) {
  const toast = find(".toast");
  find("[data-message]", toast).textContent = message;
  find("[data-undo]", toast).hidden = !withUndo;
  toast.classList.toggle("is-fault", fault);
  toast.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => (toast.hidden = true), TOAST_MS);
}
