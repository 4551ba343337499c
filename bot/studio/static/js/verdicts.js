// Verdicts: sent one after the other, and undone step by step.

import { replace } from "./cards.js";
import { FRAGMENT_HEADER, find, parse } from "./dom.js";
import { say } from "./messages.js";
import { candidates, cardOf, choose, chooseWaitingAfter, current, waits } from "./selection.js";

const done = []; // Ids of each step, for undo.
let underWay = Promise.resolve();

// Requests run one after the other, so that quick keys do not overtake the server.
export const inTurn = (work) => (underWay = underWay.then(work, work));

async function send(fields) {
  const answer = await fetch("/verdicts", { method: "POST", body: new URLSearchParams(fields), headers: { [FRAGMENT_HEADER]: "1" } });
  const text = await answer.text();
  if (answer.headers.get("content-type")?.startsWith("text/html")) {
    replace(parse(text));
  }
  if (answer.ok) return true;
  const message = answer.headers.get("x-studio-message");
  say(message ? decodeURIComponent(message) : text, { fault: true });
  return false;
}

// The selection moves on at once, so that the next key is for the next candidate, even if the server is slow.
export function submit(form, button) {
  const fields = [...new FormData(form, button)];
  const ids = fields.filter(([name]) => name === "candidate").map(([, id]) => id);
  const cards = ids.map(cardOf).filter(Boolean);
  const decision = button.value;
  if (cards.some((card) => "sending" in card.dataset)) return;
  for (const card of cards) card.dataset.sending = "";
  if (decision !== "undo") chooseWaitingAfter(cards.at(-1));
  inTurn(() => deliver(ids, decision, fields));
}

async function deliver(ids, decision, fields) {
  let fine = false;
  try {
    fine = await send(fields);
  } catch {
    say("The studio does not answer. Check that it is still running.", { fault: true });
  }
  for (const card of ids.map(cardOf).filter(Boolean)) delete card.dataset.sending;
  if (!fine || decision === "undo") choose(cardOf(ids[0]));
  if (!fine) return;
  if (decision === "undo") return say("Undone.");
  done.push(ids);
  const many = ids.length > 1 ? ` ${ids.length}` : "";
  say(`${decision === "accept" ? "Accepted" : "Rejected"}${many}.`, { undo: true });
  if (!candidates().some(waits) && find("[data-next]")) say("No more candidates on this page: n shows the next songs.", { undo: true });
}

export async function undo() {
  const ids = done.pop();
  if (!ids) return say("Nothing to undo on this page. Each decided candidate has its own undo button.");
  const form = find(".candidate form");
  const fields = [["token", find("[name=token]", form).value], ["back", find("[name=back]", form).value], ["decision", "undo"]];
  for (const card of ids.map(cardOf).filter(Boolean)) {
    fields.push(["candidate", card.dataset.id], ["seen", find("[name=seen]", card).value]);
  }
  try {
    if (!(await send(fields))) return;
  } catch {
    done.push(ids);
    return say("The studio does not answer. Check that it is still running.", { fault: true });
  }
  say(ids.length > 1 ? `Undone: ${ids.length} candidates wait again.` : "Undone: the candidate waits again.", { undo: done.length > 0 });
  choose(cardOf(ids[0]));
}

export function press(name) {
  const card = current();
  const button = card && find(`.acts button.${name}`, card);
  if (!button) return say(card ? "The candidate already has a verdict. Undo it first." : "Select a candidate with j.");
  if (button.disabled) return say(button.title, { fault: true });
  button.click();
}

export function setup() {
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/verdicts" || "plain" in event.target.dataset) return;
    event.preventDefault();
    submit(event.target, event.submitter);
  });
  find(".toast [data-undo]").addEventListener("click", () => inTurn(undo));
}
