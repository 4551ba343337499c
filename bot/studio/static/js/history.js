// The steps of this tab, for undo: also those of pages that were turned, and those before a reload.

import { ofTab } from "./storage.js";

const KEY = "steps";
const MAX_STEPS = 200;
const entries = load();

function load() {
  try {
    return JSON.parse(ofTab.get(KEY) ?? "[]");
  } catch {
    return [];
  }
}

// An entry has `ids`, the `seen` verdict of each once it is recorded, the curator's `texts`, and its `page`.
export function record(entry) {
  entries.push(entry);
  return entry;
}

export function forget(entry) {
  const place = entries.indexOf(entry);
  if (place >= 0) entries.splice(place, 1);
  save();
}

// A step whose candidates were all taken back by their own buttons has nothing left to undo.
export function forgetUndone(ids) {
  for (const entry of [...entries]) if (entry.ids.every((id) => ids.includes(id))) forget(entry);
}

export const takeLast = () => {
  const entry = entries.pop();
  save();
  return entry;
};
export const putBack = (entry) => {
  entries.push(entry);
  save();
};
export const hasSteps = () => entries.length > 0;

export function save() {
  entries.splice(0, Math.max(entries.length - MAX_STEPS, 0));
  const recorded = entries.filter((entry) => entry.seen);
  ofTab.set(KEY, JSON.stringify(recorded.map(({ ids, seen, texts, page }) => ({ ids, seen, texts, page }))));
}
