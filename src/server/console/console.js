// Refreshes the parts of a page that are marked with data-live, every two seconds while the page is seen, and fetches the parts that
// are marked with data-more once. Every page works without this script.
const every = 2000;
const parts = () => document.querySelectorAll("[data-live][id]");
// Markup of each part as the service last sent it.
const known = new Map([...parts()].map((part) => [part.id, part.outerHTML]));

async function fetched(path) {
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function replace(old, part) {
  const now = document.adoptNode(part);
  // A table that was opened, and one that was scrolled, stay so.
  const opened = [...old.querySelectorAll("details")].map((details) => details.open);
  now.querySelectorAll("details").forEach((details, i) => { details.open = opened[i] ?? details.open; });
  const places = [...old.querySelectorAll(".scroll")].map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  old.replaceWith(now);
  now.querySelectorAll(".scroll").forEach((box, i) => { if (places[i]) box.scrollTo(...places[i]); });
}

async function refresh() {
  if (document.hidden || parts().length === 0) return;
  try {
    const page = await fetched(location.href);
    for (const old of parts()) {
      const now = page.getElementById(old.id);
      // A part whose field or button has the focus keeps it.
      if (!now || old.contains(document.activeElement) || known.get(old.id) === now.outerHTML) continue;
      known.set(old.id, now.outerHTML);
      replace(old, now);
    }
    document.body.classList.remove("stale");
  } catch {
    document.body.classList.add("stale");
  }
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

document.querySelectorAll("[data-more][id]").forEach(complete);
setInterval(refresh, every);
document.addEventListener("visibilitychange", refresh);
