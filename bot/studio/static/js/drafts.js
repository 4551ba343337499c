// Wordings that have not been accepted: kept in the tab by candidate, through Esc, conflicts, undo and reloads.

import { find } from "./dom.js";
import { ofTab } from "./storage.js";

const keyOf = (id) => `draft ${id}`;

export const draftOf = (id) => ofTab.get(keyOf(id));
export const keepDraft = (id, text) => ofTab.set(keyOf(id), text);
export const dropDraft = (id) => ofTab.remove(keyOf(id));

// A draft that says nothing new is none.
export function noteDraft(card, text) {
  const isNew = text.value.trim() !== text.defaultValue.trim();
  if (isNew) keepDraft(card.dataset.id, text.value);
  else dropDraft(card.dataset.id);
}

export function showDraft(card) {
  const place = find("[data-draft]", card);
  const text = find(".editor textarea", card);
  if (!place || !text) return;
  if (draftOf(card.dataset.id)?.trim() === text.defaultValue.trim()) dropDraft(card.dataset.id);
  const draft = draftOf(card.dataset.id);
  if (draft !== null) text.value = draft;
  place.hidden = draft === null;
  find("[data-draft-text]", place).textContent = draft ?? "";
}
