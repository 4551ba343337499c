// Cards and counts that the server sends after a verdict, put in the place of those on the page.

import { find, findAll } from "./dom.js";
import { prepare } from "./editor.js";
import { cardOf, choose, waits } from "./selection.js";

export function replace(page) {
  for (const fresh of findAll(".candidate", page)) {
    const old = cardOf(fresh.dataset.id);
    if (!old) continue;
    const chosen = old.classList.contains("is-current");
    const focused = old.contains(document.activeElement);
    const song = old.closest(".song");
    old.replaceWith(document.adoptNode(fresh));
    prepare(fresh);
    if (chosen) choose(fresh, { focus: focused });
    refreshRest(song);
  }
  showCounts(page);
}

export function showCounts(page) {
  const count = find("#waiting", page);
  if (!count) return;
  for (const shown of findAll("[data-count]")) shown.textContent = count.dataset[shown.dataset.count];
  find("#waiting")?.replaceWith(document.adoptNode(count));
}

// The song's button lists the candidates that still wait.
function refreshRest(song) {
  const form = find(".rest", song);
  if (!form) return;
  const waiting = findAll(".candidate", song).filter(waits);
  findAll("[name=candidate], [name=seen]", form).forEach((field) => field.remove());
  for (const card of waiting) {
    for (const name of ["candidate", "seen"]) form.append(find(`[name=${name}]`, card).cloneNode());
  }
  form.hidden = waiting.length === 0;
}
