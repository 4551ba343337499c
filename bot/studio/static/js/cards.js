// Cards and counts that the server sends, put in the place of those on the page.

import { find, findAll } from "./dom.js";
import { draftOf } from "./drafts.js";
import { openEditor, prepare } from "./editor.js";
import { countFailed } from "./messages.js";
import { isPending } from "./outbox.js";
import { cardOf, choose, waits } from "./selection.js";

export function replace(page) {
  for (const fresh of findAll(".candidate", page)) {
    const old = cardOf(fresh.dataset.id);
    if (old) exchange(old, document.adoptNode(fresh));
  }
  countFailed();
  showCounts(page);
}

function exchange(old, fresh) {
  const isChosen = old.classList.contains("is-current");
  const hasFocus = old.contains(document.activeElement);
  const isWriting = find(".editor", old)?.open && draftOf(old.dataset.id) !== null;
  const song = old.closest(".song");
  if (isPending(fresh.dataset.id)) fresh.dataset.sending = old.dataset.sending ?? "";
  old.replaceWith(fresh);
  prepare(fresh);
  if (isChosen) choose(fresh, { focus: hasFocus, scroll: false });
  if (song) refreshRest(song);
  if (!isWriting) return;
  // Somebody has decided while a wording was typed: it stays, beside the text as it is now.
  fresh.classList.add("has-conflict");
  if (hasFocus) openEditor(fresh);
  else find(".editor", fresh).open = true;
}

export function showCounts(page) {
  const count = find("#waiting", page);
  if (!count) return;
  for (const shown of findAll("[data-count]")) shown.textContent = count.dataset[shown.dataset.count];
  find("#waiting")?.replaceWith(document.adoptNode(count));
}

// The song's button lists the candidates that still wait.
export function refreshRest(song) {
  const form = find(".rest", song);
  if (!form) return;
  const waiting = findAll(".candidate", song).filter(waits);
  findAll("[name=candidate], [name=seen]", form).forEach((field) => field.remove());
  for (const card of waiting) {
    for (const name of ["candidate", "seen"]) form.append(find(`[name=${name}]`, card).cloneNode());
  }
  form.hidden = waiting.length === 0;
}
