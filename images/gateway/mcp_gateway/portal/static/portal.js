// What the pages do beyond plain HTML; without it they are the same, and reloaded by hand or by the browser.
"use strict";

const LONGEST_LOG_LINES = 2000;

// What the server said of each live part, before this script touched it.
const said = new Map();

function begin() {
  for (const part of document.querySelectorAll("[data-live]")) said.set(part.id, saying(part));
  dress(document);
  for (const view of document.querySelectorAll("[data-log]")) follow(view);
  again();
}

// A part without its form tokens, which are others each time.
function saying(part) {
  return part.outerHTML.replace(/name="form_token" value="[^"]*"/g, "");
}

// Local time instead of UTC, and buttons that copy.
function dress(root) {
  for (const time of root.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
  for (const pre of root.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) break;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "secondary small copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${pre.dataset.copy}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    pre.after(button);
  }
}

function again() {
  const seconds = Number(document.body.dataset.refresh);
  if (seconds > 0) setTimeout(() => (document.hidden ? again() : refresh().finally(again)), seconds * 1000);
}

// Asks what this page says now, and puts its live parts in place of those shown.
async function refresh() {
  let answer;
  try {
    answer = await fetch(document.body.dataset.page, { headers: { "X-Live": "1" }, credentials: "same-origin" });
  } catch {
    return;
  }
  if (answer.redirected || answer.status === 404) location.assign(document.body.dataset.page);
  if (answer.redirected || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.body.dataset.refresh = page.body.dataset.refresh;
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const shown = document.getElementById(fresh.id);
    if (!shown || said.get(fresh.id) === saying(fresh)) continue;
    said.set(fresh.id, saying(fresh));
    replace(shown, document.adoptNode(fresh));
  }
}

// Keeps the focus, and an open disclosure open.
function replace(shown, fresh) {
  const focused = shown.contains(document.activeElement) ? document.activeElement : null;
  const open = new Set([...shown.querySelectorAll("details[open]")].map((each) => each.id));
  dress(fresh);
  shown.replaceChildren(...fresh.childNodes);
  for (const each of shown.querySelectorAll("details")) each.open ||= open.has(each.id);
  if (!focused) return;
  const same = focused.id && document.getElementById(focused.id);
  if (!same) shown.tabIndex = -1;
  (same || shown).focus();
}

// The log as it is written. Each connection begins with the last lines anew, so none is shown twice.
function follow(view) {
  const state = document.getElementById("log-state");
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  let source = null;
  let lines = [];
  let drawing = false;
  let notBefore = 0;

  function draw() {
    drawing = false;
    const atEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 40;
    view.textContent = lines.join("\n");
    if (atEnd) view.scrollTop = view.scrollHeight;
  }

  function add(line) {
    lines.push(line);
    if (lines.length > LONGEST_LOG_LINES) lines = lines.slice(-LONGEST_LOG_LINES);
    if (!drawing) drawing = Boolean(requestAnimationFrame(draw));
  }

  function connect() {
    if (source || document.hidden || Date.now() < notBefore) return;
    source = new EventSource(view.dataset.log);
    source.addEventListener("begin", () => { lines = []; say("Live"); });
    source.addEventListener("message", (event) => add(JSON.parse(event.data)));
    source.addEventListener("end", () => { close(3); say("The instance has ended"); });
    source.addEventListener("error", () => {
      say("Connecting");
      if (source?.readyState === EventSource.CLOSED) close(10);
    });
  }

  function close(seconds) {
    source?.close();
    source = null;
    notBefore = Date.now() + seconds * 1000;
  }

  view.scrollTop = view.scrollHeight;
  setInterval(() => {
    if (document.querySelector("#standing [data-state='running']")) connect();
  }, 1000);
  addEventListener("pagehide", () => close(0));
}

begin();
