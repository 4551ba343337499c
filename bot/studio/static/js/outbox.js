// Changes on their way to the studio: sent one after the other, so that quick keys do not overtake the server, and
// repeated while it does not answer or its database is busy. Nothing leaves the page before they have arrived.

import { FRAGMENT_HEADER, find, findAll, pageToken, parse, pause } from "./dom.js";
import { say } from "./messages.js";

const RETRY_MS = [300, 700, 1_500, 3_000, 5_000];
const GIVE_UP_MS = 15_000;
const ANSWER_MS = 30_000;
const BUSY = new Set([502, 503, 504]);
const KEEPALIVE_BYTES = 60_000; // Browsers refuse longer requests that outlive the page.
const steps = []; // The first one is under way.
let emptied = [];

// A step has `ids` of candidates, `fields()`, asked for when its turn comes, and `settle(result)`.
export function put(step) {
  steps.push(step);
  show();
  if (steps.length === 1) drain();
}

export const unsent = () => steps.length;
export const isPending = (id) => steps.some((step) => step.ids.includes(id));

// Takes back a step that has not been sent; whether there was one to take back.
export function withdraw(step) {
  const place = steps.indexOf(step);
  if (place < 1) return false;
  steps.splice(place, 1);
  show();
  return true;
}

async function drain() {
  while (steps.length) {
    const result = await deliver(steps[0]);
    // Behind a studio that does not answer, the others would wait in vain.
    const settled = steps.splice(0, result.answer && !BUSY.has(result.answer.status) ? 1 : steps.length);
    show();
    for (const step of settled) step.settle(result);
  }
  for (const resume of emptied.splice(0)) resume();
}

// The answer with its text, and whether an earlier attempt may have been recorded without an answer.
async function deliver(step) {
  let isRepeated = Boolean(step.isSent); // by a page that was left and came back
  let mayRenew = true;
  const since = Date.now();
  for (const wait of [...RETRY_MS, null]) {
    let answer = null;
    let text = "";
    try {
      answer = await post(step);
      text = await answer.text();
    } catch {
      answer = null;
    }
    if (answer?.status === 403 && mayRenew) {
      mayRenew = false;
      if (await renewToken()) answer = await post(step).catch(() => null);
      text = (await answer?.text().catch(() => "")) ?? "";
    }
    const isFinal = wait === null || Date.now() - since > GIVE_UP_MS;
    if (isFinal || (answer && !BUSY.has(answer.status))) return { answer, text, isRepeated };
    isRepeated = true;
    step.isSent = false;
    say(`${answer ? "The database is busy" : "The studio does not answer"}: trying again.`);
    await pause(wait);
  }
}

function post(step) {
  step.isSent = true;
  const body = new URLSearchParams([...step.fields(), ["token", pageToken()]]);
  return fetch("/verdicts", {
    method: "POST",
    body,
    headers: { [FRAGMENT_HEADER]: "1" },
    keepalive: body.toString().length < KEEPALIVE_BYTES,
    signal: AbortSignal.timeout(ANSWER_MS),
  });
}

// A studio that was started anew may have another token: the page takes it and goes on.
async function renewToken() {
  try {
    const fresh = find("meta[name=page-token]", parse(await (await fetch("/posted")).text())).content;
    if (fresh === pageToken()) return false;
    find("meta[name=page-token]").content = fresh;
    for (const field of findAll("[name=token]")) field.value = fresh;
    return true;
  } catch {
    return false;
  }
}

function show() {
  const place = find("[data-saving]");
  place.textContent = steps.length ? `${steps.length} saving` : "";
}

// --- Leaving the page -----------------------------------------------------------------------------------------------

const LEAVING_MS = 8_000;
let leavingSince = 0;

// Keys that come after the one that turns the page are not for the candidates of this one.
export const isLeaving = () => Date.now() - leavingSince < LEAVING_MS;

// Goes on when everything has arrived; stays where something did not, which its card says.
export async function leave(go) {
  leavingSince = Date.now();
  if (steps.length) {
    say(`Saving ${steps.length} ${steps.length === 1 ? "verdict" : "verdicts"} before the page is left.`);
    const failed = findAll("[data-failed]").length;
    await new Promise((resume) => emptied.push(resume));
    leavingSince = Date.now();
    if (findAll("[data-failed]").length > failed) {
      leavingSince = 0;
      return;
    }
  }
  go();
}

function onClick(event) {
  const link = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (event.defaultPrevented || !link || !isPlain || link.target || link.origin !== location.origin) return;
  if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
  if (!steps.length) {
    leavingSince = Date.now();
    return;
  }
  event.preventDefault();
  leave(() => location.assign(link.href));
}

function onSubmit(event) {
  if (event.defaultPrevented || event.target.method === "dialog" || !steps.length) return;
  event.preventDefault();
  leave(() => event.target.requestSubmit(event.submitter));
}

// The browser asks before it closes or reloads; if it leaves all the same, what is left is sent without waiting.
function onPageHide() {
  for (const step of steps) if (!step.isSent) post(step).catch(() => {});
}

export function setup() {
  // On the window, after every module of the document had the event.
  window.addEventListener("click", onClick);
  window.addEventListener("submit", onSubmit);
  window.addEventListener("pagehide", onPageHide);
  window.addEventListener("pageshow", () => (leavingSince = 0));
  window.addEventListener("beforeunload", (event) => {
    if (steps.length) event.preventDefault();
  });
}
