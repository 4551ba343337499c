// Search, the song's form, and the other curators: who looks at which song, and how far the day is.

import { FRAGMENT_HEADER, find, findAll, pageToken } from "./dom.js";
import { bind } from "./keys.js";
import { current, songOf } from "./selection.js";

const EVERY_MS = 20_000;
const SETTLED_MS = 1_200; // A song that is only passed is not looked at.
let settling;

async function look() {
  if (document.hidden) return;
  const song = songOf(current())?.dataset.song ?? "";
  try {
    const answer = await fetch("/look", {
      method: "POST",
      body: new URLSearchParams([["token", pageToken()], ["song", song]]),
      headers: { [FRAGMENT_HEADER]: "1" },
    });
    if (answer.ok) show(await answer.json());
  } catch {
    // The studio may be restarting; the next look retries.
  }
}

function show({ looking, progress }) {
  find("[data-progress]").textContent = progress;
  for (const song of findAll("[data-song]")) {
    const names = looking[song.dataset.song] ?? [];
    const line = find("[data-lookers]", song);
    line.hidden = !names.length;
    line.textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "look" : "looks"} at this song` : "";
  }
}

function settle() {
  clearTimeout(settling);
  settling = setTimeout(look, SETTLED_MS);
}

function openSongForm() {
  const form = find(".mend", songOf(current()) ?? document.createElement("i"));
  if (!form) return;
  form.open = true;
  find("[name=artist]", form).select();
}

function onKey(event) {
  if (event.key !== "Escape") return;
  const form = event.target.closest?.(".mend[open], .filters[open], .curator[open]");
  if (form) {
    form.open = false;
    find("summary", form).focus();
  }
}

export function setup() {
  document.addEventListener("keydown", onKey);
  const search = find("[data-search]");
  if (!search) return;
  bind("/", () => search.select());
  bind("m", openSongForm);
  document.addEventListener("focusin", settle);
  document.addEventListener("visibilitychange", look);
  setInterval(look, EVERY_MS);
  settle();
}
