// Script of the console. Every page works without it.
//
// * Parts marked data-live are replaced when they change: the service sends them (/live) while the page is seen. Where there is no stream
//   the page is fetched every two seconds instead.
// * Parts marked data-more are fetched once.
// * Fields marked data-slider get a slider beside them. Forms marked data-preview show what they would do whenever a field changes.
const every = 2000;
const parts = () => document.querySelectorAll("[data-live][id]");
// Markup of each part as the service last sent it.
const known = new Map([...parts()].map((part) => [part.id, part.outerHTML]));
// Parts that came while a field in them had the focus.
const waiting = new Map();
let stream, polls;

const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

async function fetched(path, signal) {
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-store", signal });
  if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
  return parsed(await answer.text());
}

function replace(old, part) {
  const now = document.adoptNode(part);
  // A table that was opened, one that was scrolled, and a field that was filled in stay so.
  const opened = [...old.querySelectorAll("details")].map((details) => details.open);
  now.querySelectorAll("details").forEach((details, i) => { details.open = opened[i] ?? details.open; });
  for (const field of old.querySelectorAll("input[type=text][id]")) {
    const same = now.querySelector(`#${CSS.escape(field.id)}`);
    if (same && !same.value) same.value = field.value;
  }
  const places = [...old.querySelectorAll(".scroll")].map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  old.replaceWith(now);
  now.querySelectorAll(".scroll").forEach((box, i) => { if (places[i]) box.scrollTo(...places[i]); });
}

function take(part) {
  if (!part) return;
  const old = document.getElementById(part.id);
  if (!old?.matches("[data-live]") || known.get(part.id) === part.outerHTML) return;
  waiting.delete(part.id);
  if (old.contains(document.activeElement)) {
    waiting.set(part.id, part);
    return;
  }
  known.set(part.id, part.outerHTML);
  replace(old, part);
  // A part that will not change any more is no longer marked.
  if (parts().length === 0) stop();
}

const stale = (is) => document.body.classList.toggle("stale", is);

async function refresh() {
  if (document.hidden || parts().length === 0) return;
  try {
    const page = await fetched(location.href);
    parts().forEach(({ id }) => take(page.getElementById(id)));
    stale(false);
  } catch {
    stale(true);
  }
}

// Fetches the page again and again, until there is a stream.
function poll() {
  let times = 0;
  polls ??= setInterval(() => {
    times += 1;
    if (times % 15 === 0) listen();
    else refresh();
  }, every);
}

function stop() {
  stream?.close();
  stream = undefined;
  clearInterval(polls);
  polls = undefined;
}

function listen() {
  if (document.hidden || stream || parts().length === 0) return;
  stream = new EventSource(`/live?page=${encodeURIComponent(location.pathname + location.search)}`);
  stream.addEventListener("open", () => {
    clearInterval(polls);
    polls = undefined;
    stale(false);
  });
  stream.addEventListener("part", ({ data }) => take(parsed(data).body.firstElementChild));
  stream.addEventListener("end", () => {
    stop();
    poll();
  });
  stream.addEventListener("error", ({ target }) => {
    if (target.readyState !== EventSource.CLOSED) return stale(true);
    stream = undefined;
    poll();
  });
}

async function complete(part) {
  try {
    const page = await fetched(part.dataset.more);
    const now = page.getElementById(part.id);
    if (now && !part.contains(document.activeElement)) replace(part, now);
  } catch {
    // The part has a link that leads to the same.
  }
}

// Puts a slider beside a number. The number is what the form sends.
function addSlider(field) {
  const [min, max, step, unset] = field.dataset.slider.split(" ");
  const number = () => field.value.trim().replace(",", ".") || unset;
  const slider = Object.assign(document.createElement("input"), { type: "range", min, max, step, value: number() });
  slider.setAttribute("aria-label", `${field.labels[0]?.textContent}, slider`);
  slider.addEventListener("input", () => { field.value = slider.value; });
  field.addEventListener("input", () => { slider.value = number(); });
  field.after(slider);
}

// Shows what a form would do, shortly after a field changed. An earlier preview that is still on its way is given up.
function previewAlong(form) {
  const said = document.getElementById(form.dataset.said);
  let timer, running;
  async function show() {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    const query = new URLSearchParams(new FormData(form));
    query.set("preview", "1");
    const place = () => document.getElementById(form.dataset.preview);
    place().setAttribute("aria-busy", "true");
    try {
      const page = await fetched(`${form.action}?${query}`, signal);
      const now = page.getElementById(form.dataset.preview);
      if (signal.aborted || !now) return;
      replace(place(), now);
      history.replaceState(null, "", `?${query}`);
      if (said) said.textContent = place().dataset.said;
    } catch {
      if (!signal.aborted) place().removeAttribute("aria-busy");
    }
  }
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 50);
  });
}

document.querySelectorAll("[data-more][id]").forEach(complete);
document.querySelectorAll("input[data-slider]").forEach(addSlider);
document.querySelectorAll("form[data-preview]").forEach(previewAlong);
document.addEventListener("focusout", () => setTimeout(() => waiting.forEach(take)));
document.addEventListener("visibilitychange", () => {
  stop();
  if (document.hidden) return;
  refresh();
  listen();
});
listen();
