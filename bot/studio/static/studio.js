// Keyboard shortcuts and in-place changes. Every page works without this file, by mouse.
"use strict";

const HEADER = "X-Studio-Fragment";
const COUNT_EVERY_MS = 20_000;
const TOAST_MS = 8_000;

const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

// --- Selection of candidates ----------------------------------------------------------------------------------------

const candidates = () => findAll(".candidate");
const current = () => find(".candidate.is-current");
const cardOf = (id) => candidates().find((card) => card.dataset.id === id);
// A card whose verdict is being sent no longer counts as waiting.
const waits = (card) => card.dataset.status === "waiting" && !("sending" in card.dataset);

function choose(card, { focus = true } = {}) {
  if (!card) return;
  const before = current();
  if (before && before !== card) {
    before.classList.remove("is-current");
    before.tabIndex = -1;
  }
  card.classList.add("is-current");
  card.tabIndex = 0;
  if (focus) {
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }
}

function step(direction) {
  const all = candidates();
  const here = all.indexOf(current());
  const next = here < 0 ? 0 : here + direction;
  if (next >= all.length) return turnPage();
  choose(all[Math.max(next, 0)]);
}

function stepSong(direction) {
  const songs = findAll(".song");
  const here = songs.indexOf(current()?.closest(".song"));
  const next = songs[Math.max(here + direction, 0)];
  if (!next) return turnPage();
  const cards = findAll(".candidate", next);
  choose(cards.find(waits) ?? cards[0]);
  next.scrollIntoView({ block: "nearest" });
}

function chooseWaitingAfter(card) {
  const all = candidates();
  const here = all.indexOf(card);
  const next = all.slice(here + 1).find(waits) ?? all.slice(0, here).find(waits);
  choose(next ?? card);
}

const turnPage = () => find("[data-next]")?.click();

// --- Verdicts -------------------------------------------------------------------------------------------------------

const done = []; // Ids of each step, for undo.
let underWay = Promise.resolve();

// Requests run one after the other, so that quick keys do not overtake the server.
const inTurn = (work) => (underWay = underWay.then(work, work));

async function send(fields) {
  const answer = await fetch("/verdicts", { method: "POST", body: new URLSearchParams(fields), headers: { [HEADER]: "1" } });
  const text = await answer.text();
  if (answer.headers.get("content-type")?.startsWith("text/html")) {
    replace(new DOMParser().parseFromString(text, "text/html"));
  }
  if (answer.ok) return true;
  const message = answer.headers.get("x-studio-message");
  say(message ? decodeURIComponent(message) : text, { fault: true });
  return false;
}

function replace(page) {
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

function showCounts(page) {
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

// The selection moves on at once, so that the next key is for the next candidate, even if the server is slow.
function submit(form, button) {
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

async function undo() {
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

function press(name) {
  const card = current();
  const button = card && find(`.acts button.${name}`, card);
  if (!button) return say(card ? "The candidate already has a verdict. Undo it first." : "Select a candidate with j.");
  if (button.disabled) return say(button.title, { fault: true });
  button.click();
}

// --- Editing --------------------------------------------------------------------------------------------------------

function openEditor(card) {
  const editor = card && find(".editor", card);
  if (!editor) return;
  editor.open = true;
  const text = find("textarea", editor);
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

function closeEditor(editor) {
  find("form", editor).reset();
  editor.open = false;
  choose(editor.closest(".candidate"));
}

// Length by X's rules: Latin and similar characters count 1, others 2, an emoji 2, an address 23.
const LIMIT = 280;
const ADDRESS = /https?:\/\/\S+/g;
const EMOJI = /\p{Extended_Pictographic}/u;
const light = (code) => code <= 4351 || (code >= 8192 && code <= 8205) || (code >= 8208 && code <= 8223) || (code >= 8242 && code <= 8247);

function weight(text) {
  const plain = text.normalize("NFC");
  const addresses = plain.match(ADDRESS)?.length ?? 0;
  let sum = 23 * addresses;
  for (const { segment } of new Intl.Segmenter().segment(plain.replace(ADDRESS, ""))) {
    if (EMOJI.test(segment)) sum += 2;
    else for (const character of segment) sum += light(character.codePointAt(0)) ? 1 : 2;
  }
  return sum;
}

function showLength(text) {
  const place = find("[data-length]", text.form);
  const length = weight(text.value.trim());
  place.textContent = `${length} of ${LIMIT}`;
  place.classList.toggle("over", length > LIMIT);
}

// --- Messages ---------------------------------------------------------------------------------------------------------

let silence;

function say(message, { undo: withUndo = false, fault = false } = {}) {
  const toast = find(".toast");
  find("[data-message]", toast).textContent = message;
  find("[data-undo]", toast).hidden = !withUndo;
  toast.classList.toggle("is-fault", fault);
  toast.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => (toast.hidden = true), TOAST_MS);
}

// --- Keys -----------------------------------------------------------------------------------------------------------

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  J: () => stepSong(1),
  K: () => stepSong(-1),
  a: () => press("accept"),
  r: () => press("reject"),
  x: () => find(".rest:not([hidden]) button", current()?.closest(".song") ?? document.createElement("i"))?.click(),
  e: () => openEditor(current()),
  u: () => inTurn(undo),
  o: () => find("[data-source]", current()?.closest(".song") ?? document.createElement("i"))?.click(),
  n: turnPage,
  p: () => find("[data-first]")?.click(),
  s: () => find("[data-again]")?.click(),
  "?": () => find("#help").showModal(),
};
const PLACES = { q: "/", p: "/posted", t: "/try", m: "/models" };
let going = 0;

function onKey(event) {
  const editor = event.target.closest?.(".editor");
  if (editor && event.key === "Escape") {
    closeEditor(editor);
    return event.preventDefault();
  }
  if (editor && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    find("button.accept", editor).click();
    return event.preventDefault();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || find("dialog[open]")) return;
  if (event.target.closest?.("input, textarea, select")) return;
  if (Date.now() - going < 1_000 && PLACES[event.key]) {
    location.assign(PLACES[event.key]);
    return event.preventDefault();
  }
  going = event.key === "g" ? Date.now() : 0;
  const act = KEYS[event.key];
  // A key that is held down repeats moves, but never verdicts.
  if (!act || (event.repeat && !"jkJK".includes(event.key))) return;
  event.preventDefault();
  act();
}

// --- Setup ----------------------------------------------------------------------------------------------------------

function prepare(within) {
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

// An interpolation's points are a list; with a slider one of them is shown large.
function prepareInterpolation(section) {
  const slider = find("input", section);
  const here = find("[data-here]", section);
  const points = findAll("li", section);
  const show = () => {
    points.forEach((point, number) => point.classList.toggle("is-here", number === slider.valueAsNumber));
    here.textContent = find("span", points[slider.valueAsNumber]).textContent;
  };
  points.forEach((point, number) => point.addEventListener("click", () => ((slider.value = number), show())));
  slider.addEventListener("input", show);
  slider.hidden = here.hidden = false;
  show();
}

async function refreshCount() {
  if (document.hidden || !find("#waiting")) return;
  try {
    const answer = await fetch("/waiting", { headers: { [HEADER]: "1" } });
    if (!answer.ok) return;
    showCounts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The studio may be restarting; the next refresh retries.
  }
}

function start() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/verdicts" || "plain" in event.target.dataset) return;
    event.preventDefault();
    submit(event.target, event.submitter);
  });
  document.addEventListener("focusin", (event) => choose(event.target.closest?.(".candidate"), { focus: false }));
  document.addEventListener("click", (event) => {
    const card = event.target.closest?.(".candidate");
    if (card) choose(card, { focus: false });
  });
  find(".toast [data-undo]").addEventListener("click", () => inTurn(undo));
  const help = find("[data-help]");
  help.hidden = false;
  help.addEventListener("click", () => find("#help").showModal());
  findAll("output[for]").forEach((output) => {
    const input = document.getElementById(output.htmlFor);
    input.addEventListener("input", () => (output.value = input.value));
  });
  prepare(document);
  findAll("[data-interpolation]").forEach(prepareInterpolation);
  choose(location.hash.startsWith("#c-") ? find(".candidate:target") : candidates().find(waits), { focus: Boolean(candidates().length) });
  setInterval(refreshCount, COUNT_EVERY_MS);
}

start();
