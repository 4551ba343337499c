"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { topics, words } = data;
  const DEFAULT_LAMBDA = 0.6;
  const WIDTH = 600, HEIGHT = 520, RADIUS_OF_ALL = 125, MIN_RADIUS = 2;
  const find = (id) => document.getElementById(id);

  // p(w): what all topics together make of each word.
  const overall = data.word_shares.map((shares) => shares.reduce((sum, share, t) => sum + share * topics[t].share, 0));

  // What is selected, as the address has it, and what the pointer or the focus is on.
  const state = { topic: null, lambda: DEFAULT_LAMBDA, term: null };
  const pointed = { topic: null, term: null };

  const shownTopic = () => pointed.topic ?? state.topic;
  const shownTerm = () => pointed.term ?? state.term;

  function svg(name, attributes, parent) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  }

  function html(name, className, parent) {
    const element = document.createElement(name);
    if (className) element.className = className;
    parent.append(element);
    return element;
  }

  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  function count(value) {
    return value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
  }

  // Order of the terms

  function relevant(topic, lambda) {
    const scores = words.map((_, w) => {
      const within = Math.log(Math.max(data.word_shares[w][topic], 1e-300));
      return within - (1 - lambda) * Math.log(Math.max(overall[w], 1e-300));
    });
    return words.map((_, w) => w).sort((a, b) => scores[b] - scores[a]).slice(0, data.num_terms);
  }

  function shareOfTerm(w, topic) {
    return overall[w] > 0 ? (data.word_shares[w][topic] * topics[topic].share) / overall[w] : 0;
  }

  // Map

  const circles = [];
  function drawMap() {
    const map = find("map");
    const radius = (share) => Math.max(MIN_RADIUS, RADIUS_OF_ALL * Math.sqrt(share));
    const margin = Math.max(...topics.map((topic) => radius(topic.share))) + 14;
    const range = (key) => [Math.min(...topics.map((t) => t[key])), Math.max(...topics.map((t) => t[key]))];
    const [left, right] = range("x"), [low, high] = range("y");
    // One scale for both axes: the distances are what the map is for.
    const scale = Math.min(
      (WIDTH - 2 * margin) / Math.max(right - left, 1e-9), (HEIGHT - 2 * margin) / Math.max(high - low, 1e-9), 1e6);
    const x = (value) => WIDTH / 2 + (value - (left + right) / 2) * scale;
    const y = (value) => HEIGHT / 2 - (value - (low + high) / 2) * scale;
    svg("line", { class: "axis", "aria-hidden": true, x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }, map);
    svg("line", { class: "axis", "aria-hidden": true, x1: x(0), x2: x(0), y1: 0, y2: HEIGHT }, map);
    data.explained.forEach((part, axis) => {
      const place = axis === 0 ? { x: 4, y: y(0) - 6 } : { x: x(0) + 6, y: 16 };
      svg("text", { class: "axis-name", "aria-hidden": true, ...place }, map).textContent = `axis ${axis + 1}: ${Math.round(100 * part)}%`;
    });
    // Small circles are drawn last, so that large ones never cover them.
    const order = topics.map((_, t) => t).sort((a, b) => topics[b].share - topics[a].share);
    for (const t of order) {
      const topic = topics[t];
      const group = svg("g", { class: `topic${topic.desired ? " desired" : ""}`, role: "option", tabindex: -1 }, map);
      group.dataset.topic = topic.number;
      group.setAttribute("aria-label", describe(t));
      const circle = svg("circle", { cx: x(topic.x), cy: y(topic.y) }, group);
      svg("text", { x: x(topic.x), y: y(topic.y) }, group).textContent = topic.number;
      group.addEventListener("click", () => select(state.topic === t ? null : t));
      group.addEventListener("pointerenter", () => { pointed.topic = t; render(); });
      group.addEventListener("pointerleave", () => { pointed.topic = null; render(); });
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); group.dispatchEvent(new Event("click")); }
      });
      circles[t] = { group, resize: (share) => circle.setAttribute("r", radius(share)) };
    }
  }

  function describe(t) {
    const topic = topics[t];
    return `Topic ${topic.number}: ${topic.title}; ${percent(topic.share)} of the words${topic.desired ? "; desired" : ""}`;
  }

  function renderMap() {
    const term = shownTerm(), topic = shownTopic();
    circles.forEach(({ group, resize }, t) => {
      resize(term === null ? topics[t].share : shareOfTerm(term, t));
      group.setAttribute("aria-selected", String(state.topic === t));
      group.classList.toggle("seen", topic === t);
      group.setAttribute("tabindex", t === (state.topic ?? 0) ? "0" : "-1");
    });
    if (term === null) {
      find("map-note").textContent = "Topics that use like words lie near each other. Area: the topic's share of the words.";
      return;
    }
    const [first, second] = topics.map((_, t) => t).sort((a, b) => shareOfTerm(term, b) - shareOfTerm(term, a));
    const parts = [first, second].filter((t) => t !== undefined);
    const shown = parts.map((t) => `${percent(shareOfTerm(term, t))} in topic ${topics[t].number}`).join(", ");
    find("map-note").textContent = `Area: the topic's share of “${words[term]}”, ${shown}.`;
  }

  // Terms

  const rows = [];
  function drawTerms() {
    for (let place = 0; place < Math.min(data.num_terms, words.length); place++) {
      const item = html("li", "", find("terms"));
      const button = html("button", "", item);
      button.type = "button";
      const word = html("span", "word", button);
      const track = html("span", "track", button);
      const row = {
        item, button, word, all: html("span", "overall", track), within: html("span", "topic-bar", track),
        count: html("span", "count", button), term: null,
      };
      track.setAttribute("aria-hidden", "true");
      const point = () => { pointed.term = row.term; renderMap(); };
      const leave = () => { pointed.term = null; renderMap(); };
      button.addEventListener("pointerenter", point);
      button.addEventListener("pointerleave", leave);
      button.addEventListener("focus", point);
      button.addEventListener("blur", leave);
      button.addEventListener("click", () => {
        state.term = state.term === row.term ? null : row.term;
        if (state.term === null) pointed.term = null;
        keepAddress();
        render();
      });
      rows.push(row);
    }
  }

  function renderTerms() {
    const topic = shownTopic();
    const terms = topic === null ? data.salient : relevant(topic, state.lambda);
    const most = Math.max(...terms.map((w) => overall[w]), 1e-300);
    rows.forEach((row, place) => {
      const w = row.term = terms[place];
      const within = topic === null ? 0 : data.word_shares[w][topic] * topics[topic].share;
      row.word.textContent = words[w];
      row.all.style.width = `${(100 * overall[w]) / most}%`;
      row.within.style.width = `${(100 * within) / most}%`;
      const [inTopic, inAll] = [count(within * data.num_tokens), count(overall[w] * data.num_tokens)];
      row.count.textContent = topic === null ? inAll : `${inTopic} of ${inAll}`;
      row.button.setAttribute("aria-pressed", String(state.term === w));
    });
    const panel = document.querySelector(".terms");
    panel.classList.toggle("is-desired", topic !== null && topics[topic].desired);
    panel.querySelector(".within").hidden = topic === null;
    if (topic === null) {
      find("terms-title").textContent = "Most salient terms";
      find("terms-note").textContent = "Terms that tell the topics apart.";
    } else {
      const { number, title, share, desired } = topics[topic];
      find("terms-title").textContent = `Topic ${number}: ${title}`;
      find("terms-note").textContent = `${percent(share)} of the words${desired ? "; the desired topic" : ""}. Most relevant terms.`;
    }
  }

  // Everything else

  function renderExamples() {
    const topic = shownTopic();
    const sentences = topic === null ? [] : topics[topic].examples;
    const list = find("examples").querySelector("ul");
    list.replaceChildren();
    for (const sentence of sentences) html("li", "", list).textContent = sentence;
    // Only a selection opens the panel, so that the page does not jump under the pointer.
    find("examples").hidden = state.topic === null || sentences.length === 0;
  }

  function render() {
    find("choice").value = state.topic === null ? "" : String(state.topic);
    find("lambda").value = String(state.lambda);
    find("lambda-shown").textContent = state.lambda.toFixed(2);
    find("clear").disabled = state.topic === null && state.term === null;
    renderMap();
    renderTerms();
    renderExamples();
  }

  function select(topic) {
    state.topic = topic;
    keepAddress();
    render();
  }

  function step(by) {
    const at = state.topic === null ? (by > 0 ? -1 : topics.length) : state.topic;
    pointed.topic = null;
    const onMap = document.activeElement?.classList.contains("topic");
    select((at + by + topics.length) % topics.length);
    if (onMap) circles[state.topic].group.focus();
  }

  function clear() {
    if (pointed.term === null && state.term === null) state.topic = null;
    state.term = null;
    pointed.topic = pointed.term = null;
    keepAddress();
    render();
  }

  function keepAddress() {
    const parts = new URLSearchParams();
    if (state.topic !== null) parts.set("topic", topics[state.topic].number);
    if (state.lambda !== DEFAULT_LAMBDA) parts.set("lambda", state.lambda.toFixed(2));
    if (state.term !== null) parts.set("term", words[state.term]);
    try {
      history.replaceState(null, "", `#${parts}`);
    } catch {
      // A sandboxed frame, as MLflow's, has no address of its own to keep the state in.
    }
  }

  function readAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const index = (at) => (at < 0 ? null : at);
    state.topic = index(topics.findIndex((topic) => topic.number === parts.get("topic")));
    state.term = index(words.indexOf(parts.get("term")));
    const lambda = parts.has("lambda") ? Number(parts.get("lambda")) : DEFAULT_LAMBDA;
    state.lambda = lambda >= 0 && lambda <= 1 ? lambda : DEFAULT_LAMBDA;
    render();
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    if (key === "Escape") { clear(); return; }
    if (target.matches?.("input, select")) return;
    const place = rows.findIndex((row) => row.button === target);
    if (key === "ArrowRight" || key === "ArrowLeft") {
      event.preventDefault();
      step(key === "ArrowRight" ? 1 : -1);
    } else if ((key === "ArrowDown" || key === "ArrowUp") && target.closest?.("#terms, #map")) {
      event.preventDefault();
      const by = key === "ArrowDown" ? 1 : -1;
      if (place < 0) step(by);
      else rows[Math.min(Math.max(place + by, 0), rows.length - 1)].button.focus();
    }
  }

  const choice = find("choice");
  choice.append(new Option("All topics", ""));
  topics.forEach((topic, t) => {
    choice.append(new Option(`${topic.number}: ${topic.title}${topic.desired ? " (desired)" : ""}`, String(t)));
  });
  choice.addEventListener("change", () => select(choice.value === "" ? null : Number(choice.value)));
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  find("clear").addEventListener("click", () => { state.term = null; pointed.term = null; select(null); });
  find("lambda").addEventListener("input", (event) => { state.lambda = Number(event.target.value); keepAddress(); render(); });
  document.addEventListener("keydown", press);
  window.addEventListener("hashchange", readAddress);
  drawMap();
  drawTerms();
  find("explorer").hidden = false;
  readAddress();
})();
