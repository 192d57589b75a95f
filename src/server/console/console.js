// Refreshes the parts of a page that are marked with data-live, every two seconds while the page is seen.
const every = 2000;
const parts = () => document.querySelectorAll("[data-live][id]");

async function refresh() {
  if (document.hidden || parts().length === 0) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of parts()) {
      const now = page.getElementById(old.id);
      // A field that has the focus keeps its text.
      if (now && !old.contains(document.activeElement) && now.innerHTML !== old.innerHTML) {
        old.innerHTML = now.innerHTML;
      }
    }
    document.body.classList.remove("stale");
  } catch {
    document.body.classList.add("stale");
  }
}

setInterval(refresh, every);
document.addEventListener("visibilitychange", refresh);
