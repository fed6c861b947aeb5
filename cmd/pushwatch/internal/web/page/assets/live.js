// Makes a view live. What the server renders is the truth: when there is news, or
// some seconds have passed, the view is asked for again, and where a part marked
// data-live differs from what is shown, it is changed in place. So focus, selection
// and what is unfolded stay.

const pause = 1000; // ms between two times of asking, at least
const patience = 5000; // ms without news, after which it is asked for anyway
const silence = 20000; // ms after which an answer is not awaited any more

const pulse = document.getElementById("pulse");
let stream; // of events; null while nobody looks
let timer;
let busy = false; // the view is being asked for
let asked = Date.now(); // when the view was last asked for
let fresh = Date.now(); // of when it is what is shown

// ask has the view asked for within some time.
function ask(within) {
  const at = Math.max(Date.now() + within, asked + pause);
  if (timer && timer.at <= at) return;
  clearTimeout(timer?.id);
  timer = { at, id: setTimeout(refresh, at - Date.now()) };
}

async function refresh() {
  timer = null;
  if (document.hidden) return;
  if (busy) return ask(pause); // an older answer must not come after a newer one
  busy = true;
  asked = Date.now();
  try {
    const address = new URL(location.href);
    address.searchParams.delete("done");
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(silence) });
    if (new URL(answer.url).pathname === "/signin") return location.reload();
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!next.getElementById("main")) throw new Error("that is no view");
    if (!answer.ok && next.title !== document.title) {
      // What is shown stays, unless it is gone or may not be seen any more.
      if (answer.status < 500) return location.reload();
      throw new Error("a fault", { cause: next.querySelector("#main h1")?.textContent });
    }
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = next.getElementById(part.id);
      if (other) change(part, other);
    }
    document.title = next.title;
    fresh = Date.now();
    say("");
  } catch (fault) {
    say(`${fault.cause ?? "pushwatch does not answer"}. What you see is of ${new Date(fresh).toISOString().slice(11, 19)} UTC.`);
  } finally {
    busy = false;
  }
  if (stream?.readyState === EventSource.CLOSED) open();
  ask(patience);
}

function say(text) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.hidden = !text;
}

// change makes an element like another one.
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

// alike tells whether one node can become another.
function alike(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && !a.id;
}

// A browser has few connections for each site: only views that are looked at keep one.
function look() {
  stream?.close();
  stream = null;
  if (document.hidden) return;
  open();
  ask(patience);
}

function open() {
  stream = new EventSource(document.documentElement.dataset.stream);
  // Is it gone? The browser goes on asking for what broke off, but not for what was refused.
  stream.onerror = ({ target }) => ask(target.readyState === EventSource.CLOSED ? patience : 100);
  for (const type of ["push.preparing", "push.started", "push.exception", "push.stalled", "push.overdue",
    "push.backup_changed", "push.changed", "push.stopped", "push.failed", "push.not_found",
    "watcher.blind", "watcher.sighted", "delivery.exhausted", "webhook.test"]) {
    stream.addEventListener(type, () => ask(100));
  }
}

addEventListener("online", () => ask(0));
document.addEventListener("visibilitychange", () => {
  look();
  if (!document.hidden) ask(0);
});
look();
