// Verdicts: given, sent, and undone step by step.

import { refreshRest, replace } from "./cards.js";
import { find, findAll, parse } from "./dom.js";
import { draftOf, dropDraft, keepDraft, showDraft } from "./drafts.js";
import { openEditor } from "./editor.js";
import { forget, forgetUndone, hasSteps, putBack, record, save, takeLast } from "./history.js";
import { clearFailed, markFailed, say } from "./messages.js";
import { isPending, put, withdraw } from "./outbox.js";
import { candidates, cardOf, choose, current, moveOnFrom, movedByHand, songInHand, songOf, waits } from "./selection.js";

const STATUS_AFTER = { accept: "accepted", reject: "rejected", undo: "waiting" };
const seenOf = (card) => find("[name=seen]", card).value;
const titleOf = (song) => `“${find("h2 .title", song).textContent}”`;
const pageHere = () => location.pathname + location.search;

// The selection moves on at once, so that the next key is for the next candidate, even if the server is slow.
export function submit(form, button) {
  const fields = [...new FormData(form, button)].filter(([name]) => name !== "token");
  const ids = fields.filter(([name]) => name === "candidate").map(([, id]) => id);
  const text = fields.find(([name]) => name === "text")?.[1];
  const decision = fields.find(([name]) => name === "decision")[1];
  give({ decision, ids, fields, text });
}

// Accepts a candidate and rejects those of its song that still wait: one step, with one undo.
function acceptAlone(card) {
  const rest = findAll(".candidate", songOf(card)).filter((other) => other !== card && waits(other));
  const fields = [["back", pageHere()], ["decision", "accept"], ["candidate", card.dataset.id], ["seen", seenOf(card)]];
  for (const other of rest) fields.push(["rest", other.dataset.id], ["rest_seen", seenOf(other)]);
  give({ decision: "accept", ids: [card, ...rest].map((each) => each.dataset.id), fields, rest: rest.length });
}

function give({ decision, ids, fields, text, rest = 0 }) {
  const cards = ids.map(cardOf).filter(Boolean);
  if (ids.some(isPending)) return say("The verdict is being saved.");
  if (decision === "undo") return takeBack({ ids, page: pageHere(), seen: Object.fromEntries(cards.map((card) => [card.dataset.id, seenOf(card)])) });
  const entry = record({ ids, page: pageHere(), texts: text === undefined ? {} : { [ids[0]]: text } });
  entry.step = {
    ids,
    fields: () => fields,
    settle: (result) => settle(result, { ids, decision, text, rest, entry }),
  };
  cards.forEach((card, place) => mark(card, place && rest ? "reject" : decision));
  if (text !== undefined) find(".editor", cards[0]).open = false;
  const last = cards.toSorted((one, other) => one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1).at(-1);
  if (last) moveOnFrom(last);
  put(entry.step);
}

function mark(card, decision) {
  clearFailed(card);
  card.dataset.sending = decision;
  if (songOf(card)) refreshRest(songOf(card));
}

function unmark(ids) {
  for (const card of ids.map(cardOf).filter(Boolean)) {
    if (!isPending(card.dataset.id)) delete card.dataset.sending;
    if (songOf(card)) refreshRest(songOf(card));
  }
}

function settle(result, { ids, decision, text, rest, entry }) {
  const page = parse(result.text);
  if (isRecorded(result, page, { ids, decision, text, rest })) {
    if (text !== undefined) dropDraft(ids[0]);
    show(result, page, ids);
    entry.seen = Object.fromEntries(findAll(".candidate", parse(result.text)).map((card) => [card.dataset.id, seenOf(card)]));
    save();
    return sayGiven(decision, ids.length - rest, rest);
  }
  forget(entry);
  fail(result, page, ids);
}

// A repeated request may find its own verdict, if the answer to the first was lost.
function isRecorded({ answer, isRepeated }, page, { ids, decision, text, rest = 0 }) {
  if (answer?.ok) return true;
  if (answer?.status !== 409 || !isRepeated) return false;
  return ids.every((id, place) => {
    const card = findAll(".candidate", page).find((each) => each.dataset.id === id);
    const isAsWanted = card?.dataset.status === STATUS_AFTER[place && rest ? "reject" : decision];
    return isAsWanted && (text === undefined || find("textarea", card).defaultValue.trim() === text.trim());
  });
}

function show({ answer }, page, ids) {
  if (answer?.headers.get("content-type")?.startsWith("text/html")) replace(page);
  unmark(ids);
}

function fail(result, page, ids) {
  const message = reasonOf(result);
  show(result, page, ids);
  for (const card of ids.map(cardOf).filter(Boolean)) markFailed(card, message);
  say(message, { fault: true });
}

function reasonOf({ answer, text }) {
  if (!answer) return "the studio does not answer. Check that it is still running, and decide again.";
  const message = answer.headers.get("x-studio-message");
  return message ? decodeURIComponent(message) : text;
}

function sayGiven(decision, count, rest) {
  const many = count > 1 ? ` ${count}` : "";
  const others = rest ? `, ${rest} rejected` : "";
  const done = `${decision === "accept" ? "Accepted" : "Rejected"}${many}${others}.`;
  const isLast = !candidates().some(waits) && find("[data-next]");
  say(isLast ? `${done} No more candidates on this page: n shows the next songs.` : done, { undo: true });
}

// --- Undo -----------------------------------------------------------------------------------------------------------

export function undo() {
  const entry = takeLast();
  if (!entry) return say("Nothing to undo in this tab. Each decided candidate has its own undo button.");
  // Not sent yet: nothing has to be undone.
  if (entry.step && withdraw(entry.step)) {
    refill(entry);
    unmark(entry.ids);
    entry.ids.map(cardOf).filter(Boolean).forEach(showDraft);
    choose(cardOf(entry.ids[0]));
    return sayUndone(entry);
  }
  takeBack(entry, { isStep: true });
}

// The selection is on the candidate at once, and its next verdict waits for this one.
function takeBack(entry, { isStep = false } = {}) {
  const { ids } = entry;
  for (const card of ids.map(cardOf).filter(Boolean)) mark(card, "undo");
  movedByHand();
  choose(cardOf(ids[0]));
  put({
    ids,
    fields: () => [
      ["back", entry.page],
      ["decision", "undo"],
      ...ids.flatMap((id) => [["candidate", id], ["seen", entry.seen?.[id] ?? "0"]]),
    ],
    settle: (result) => {
      const page = parse(result.text);
      if (isRecorded(result, page, { ids, decision: "undo" })) {
        refill(entry);
        show(result, page, ids);
        if (!isStep) forgetUndone(ids);
        return sayUndone(entry);
      }
      // What another curator has decided meanwhile is not undone; what was not answered may be tried again.
      if (isStep && entry.seen && result.answer?.status !== 409) putBack(entry);
      fail(result, page, ids);
    },
  });
}

// The curator's own wording comes back as a draft.
function refill(entry) {
  for (const [id, text] of Object.entries(entry.texts ?? {})) keepDraft(id, text);
}

function sayUndone({ ids, page }) {
  const done = ids.length > 1 ? `Undone: ${ids.length} candidates wait again` : "Undone: the candidate waits again";
  say(cardOf(ids[0]) || page === pageHere() ? `${done}.` : `${done}, on another page.`, { undo: hasSteps() });
}

// --- Keys -----------------------------------------------------------------------------------------------------------

export function press(name) {
  const card = current();
  const button = card && find(`.acts button.${name}`, card);
  if (card && "sending" in card.dataset) return say("The verdict is being saved.");
  if (!button) return say(card ? "The candidate already has a verdict. Undo it first." : "Select a candidate with j.");
  if (button.disabled) return say(button.title, { fault: true });
  button.click();
}

// Rejects the candidates of the song in hand, never of one that the selection has only moved on to.
export function rejectRest() {
  const song = songInHand();
  const button = song && find(".rest:not([hidden]) button", song);
  if (button) return button.click();
  if (!song) return;
  const other = songOf(current());
  const way = other && other !== song ? ` For ${titleOf(other)}, move with j or k first.` : "";
  say(`No other candidate of ${titleOf(song)} waits.${way}`);
}

// A candidate with a draft is not accepted without it by mistake.
function opensDraft(card) {
  if (!card || draftOf(card.dataset.id) === null) return false;
  openEditor(card);
  say("This candidate has a draft: accept it here, or discard it.");
  return true;
}

function onSubmit(event) {
  const form = event.target;
  if (form.getAttribute("action") !== "/verdicts" || "plain" in form.dataset) return;
  event.preventDefault();
  const card = form.closest(".candidate");
  if (form.matches(".acts") && event.submitter.value === "accept" && opensDraft(card)) return;
  submit(form, event.submitter);
}

export function setup() {
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", (event) => {
    const card = event.target.closest?.("button.only")?.closest(".candidate");
    if (card && !opensDraft(card)) acceptAlone(card);
  });
  find(".toast [data-undo]").addEventListener("click", undo);
  find("[data-unsaved]").addEventListener("click", () => choose(find(".candidate[data-failed]"), { scroll: true }));
}
