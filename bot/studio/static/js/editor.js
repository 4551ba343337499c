// The editor of a candidate's text.

import { find, findAll } from "./dom.js";
import { LIMIT, weight } from "./length.js";
import { choose } from "./selection.js";

export function openEditor(card) {
  const editor = card && find(".editor", card);
  if (!editor) return;
  editor.open = true;
  const text = find("textarea", editor);
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

export function closeEditor(editor) {
  find("form", editor).reset();
  editor.open = false;
  choose(editor.closest(".candidate"));
}

function showLength(text) {
  const place = find("[data-length]", text.form);
  const length = weight(text.value.trim());
  place.textContent = `${length} of ${LIMIT}`;
  place.classList.toggle("over", length > LIMIT);
}

// Cards arrive with the page and after each verdict.
export function prepare(within) {
  findAll("[data-cancel]", within).forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", (event) => {
      event.preventDefault();
      closeEditor(button.closest(".editor"));
    });
  });
  findAll(".editor textarea", within).forEach((text) => {
    showLength(text);
    text.addEventListener("input", () => showLength(text));
    text.form.addEventListener("reset", () => setTimeout(() => showLength(text)));
  });
}

export const setup = () => prepare(document);
