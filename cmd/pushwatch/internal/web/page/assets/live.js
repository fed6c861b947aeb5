// Updates a view while it is open. After an event, or after some seconds, the view is
// requested again, and each part marked data-live that differs is changed in place. So
// focus, selection and open details stay.

const pause = 1000; // ms between two requests, at least
const interval = 5000; // ms without events, after which the view is requested anyway
const timeout = 20000; // ms

const pulse = document.getElementById("pulse");
let stream; // of events; null while the view is hidden
let timer;
let busy = false; // a request is on its way
let requested = Date.now(); // when the view was last requested

// schedule requests the view within some time.
function schedule(within) {
  const at = Math.max(Date.now() + within, requested + pause);
  if (timer && timer.at <= at) return;
  clearTimeout(timer?.id);
  timer = { at, id: setTimeout(refresh, at - Date.now()) };
}

async function refresh() {
  timer = null;
  if (document.hidden) return;
  if (busy) return schedule(pause); // an older answer must not come after a newer one
  busy = true;
  requested = Date.now();
  try {
    const address = new URL(location.href);
    address.searchParams.delete("done");
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(timeout) });
    if (new URL(answer.url).pathname === "/signin") return location.reload();
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!next.getElementById("main")) throw new Error("not a view");
    if (!answer.ok && next.title !== document.title) {
      // The view stays, unless its subject is gone or access was withdrawn.
      if (answer.status < 500) return location.reload();
      throw new Error("a fault", { cause: next.querySelector("#main h1")?.textContent });
    }
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = next.getElementById(part.id);
      if (other) change(part, other);
    }
    document.title = next.title;
    warn("");
  } catch (fault) {
    warn(`${fault.cause ?? pulse.dataset.gone}. ${pulse.dataset.age} ${document.getElementById("now").textContent}.`);
  } finally {
    busy = false;
  }
  if (stream?.readyState === EventSource.CLOSED) open();
  schedule(interval);
}

function warn(text) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.hidden = !text;
}

// change makes an element equal to another one.
function change(shown, wanted) {
  if (shown.isEqualNode(wanted)) return;
  for (const { name } of [...shown.attributes]) {
    if (!wanted.hasAttribute(name) && name !== "open" && name !== "class") shown.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  if (!wanted.hasAttribute("class") && shown.className !== "arrived") shown.removeAttribute("class");
  let next = shown.firstChild;
  for (const child of [...wanted.childNodes]) {
    const same = child.id ? [...shown.children].find((c) => c.id === child.id) : alike(next, child) && next;
    if (!same) {
      const added = document.importNode(child, true);
      if (child.id && added.matches("li, tr")) added.classList.add("arrived");
      shown.insertBefore(added, next);
      continue;
    }
    if (same !== next) shown.insertBefore(same, next);
    if (same.nodeType === Node.ELEMENT_NODE) change(same, child);
    else if (same.data !== child.data) same.data = child.data;
    next = same.nextSibling;
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

// alike reports whether one node can become another.
function alike(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && !a.id;
}

// A browser has few connections for each site: only visible views keep one.
function connect() {
  stream?.close();
  stream = null;
  if (document.hidden) return;
  open();
  schedule(interval);
}

function open() {
  stream = new EventSource(document.documentElement.dataset.stream);
  // The browser reconnects after a lost connection, but not after a refused one.
  stream.onerror = ({ target }) => schedule(target.readyState === EventSource.CLOSED ? interval : 100);
  for (const type of ["push.preparing", "push.started", "push.exception", "push.stalled", "push.overdue",
    "push.backup_changed", "push.changed", "push.stopped", "push.failed", "push.not_found",
    "push.blind", "push.sighted", "push.abandoned",
    "watcher.blind", "watcher.sighted", "delivery.exhausted", "webhook.test"]) {
    stream.addEventListener(type, () => schedule(100));
  }
}

addEventListener("online", () => schedule(0));
document.addEventListener("visibilitychange", () => {
  connect();
  if (!document.hidden) schedule(0);
});
connect();

// Times are shown in the browser's zone, unless another one was chosen. The server has to
// know it.
if (document.documentElement.dataset.zone === "unknown") {
  const zone = `${Intl.DateTimeFormat().resolvedOptions().timeZone}:${-new Date().getTimezoneOffset()}`;
  fetch("/preferences", { method: "POST", headers: { Accept: "text/html" }, body: new URLSearchParams({ zone }), redirect: "manual" }).then(() => schedule(0));
}

// Ids can be copied, and all rows of a list selected.
document.documentElement.classList.add("scripted");
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard?.writeText(button.dataset.copy);
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
});
document.addEventListener("change", ({ target }) => {
  if (!target.matches(".pick-all")) return;
  for (const box of target.form.querySelectorAll("tbody [type=checkbox]")) box.checked = target.checked;
});
