// The editor of a candidate's text, with the post that it makes.

import { FRAGMENT_HEADER, find, findAll, pageToken } from "./dom.js";
import { dropDraft, noteDraft, showDraft } from "./drafts.js";
import { choose, movedByHand, showWhole } from "./selection.js";

const PREVIEW_MS = 150;
const waiting = new WeakMap(); // Timers of previews by text area.

export function openEditor(card) {
  const editor = card && find(".editor", card);
  if (!editor) return;
  movedByHand();
  editor.open = true;
  const text = find("textarea", editor);
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
  showWhole(card);
}

// The wording stays as a draft.
export function closeEditor(editor) {
  editor.open = false;
  const card = editor.closest(".candidate");
  card.classList.remove("has-conflict");
  showDraft(card);
  choose(card);
}

function discard(editor) {
  find("form", editor).reset();
  dropDraft(editor.closest(".candidate").dataset.id);
  closeEditor(editor);
}

// The studio renders the post and counts it, by the rule of its network.
async function showPreview(text) {
  const fields = [["token", pageToken()], ["candidate", text.form.elements.candidate.value], ["text", text.value]];
  try {
    const answer = await fetch("/preview", { method: "POST", body: new URLSearchParams(fields), headers: { [FRAGMENT_HEADER]: "1" } });
    if (!answer.ok) return;
    const post = await answer.json();
    // Typed on meanwhile: the next answer is for that.
    if (fields[2][1] !== text.value) return;
    const length = find("[data-length]", text.form);
    length.textContent = `${post.length} of ${post.max_length}`;
    length.title = `counted by the rule of ${post.network}`;
    length.classList.toggle("over", post.length > post.max_length);
    find("[data-problem]", text.form).textContent = post.objection;
    const whole = find("[data-preview]", text.form);
    whole.textContent = post.text;
    whole.hidden = post.text === text.value.trim();
    if (document.activeElement === text) showWhole(text.closest(".candidate"));
  } catch {
    // The next key asks again.
  }
}

function schedulePreview(text, wait = PREVIEW_MS) {
  clearTimeout(waiting.get(text));
  waiting.set(text, setTimeout(() => showPreview(text), wait));
}

// Cards arrive with the page and after each verdict.
export function prepare(within) {
  const cards = within.matches?.(".candidate") ? [within] : findAll(".candidate", within);
  for (const card of cards) prepareCard(card);
}

function prepareCard(card) {
  const editor = find(".editor", card);
  if (!editor) return;
  showDraft(card);
  const text = find("textarea", editor);
  text.addEventListener("input", () => {
    noteDraft(card, text);
    schedulePreview(text);
  });
  editor.addEventListener("toggle", () => editor.open && schedulePreview(text, 0));
  for (const [name, act] of [["[data-close]", closeEditor], ["[data-discard]", discard]]) {
    const button = find(name, editor);
    button.hidden = false;
    button.addEventListener("click", () => act(editor));
  }
}

export const setup = () => prepare(document);
