// Fetches the page again every second while somebody looks, and replaces the parts that have changed.
const parts = () => [...document.querySelectorAll("[data-live]")];
const shown = new Map(parts().map(part => [part.dataset.live, part.innerHTML]));

async function refresh() {
  const answer = await fetch(location.pathname + location.search);
  if (!answer.ok) throw new Error(await answer.text());
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts()) {
    const html = fresh.querySelector(`[data-live="${part.dataset.live}"]`).innerHTML;
    if (html === shown.get(part.dataset.live)) continue;
    shown.set(part.dataset.live, html);
    const open = new Map([...part.querySelectorAll("details")].map(each => [each.dataset.key, each.open]));
    part.innerHTML = html;
    for (const each of part.querySelectorAll("details")) each.open = open.get(each.dataset.key) ?? each.open;
  }
}

function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  said.hidden = !text;
}

document.addEventListener("submit", async event => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  if (form.dataset.ask && !confirm(form.dataset.ask)) return;
  const answer = await fetch(form.action, { method: "post", body: new URLSearchParams(new FormData(form, event.submitter)) });
  say(answer.ok ? "" : await answer.text());
  await refresh();
});

(async () => {
  for (let lost = false; ;) {
    await new Promise(resolve => setTimeout(resolve, 1000));
    if (document.hidden) continue;
    try {
      await refresh();
      if (lost) say("");
      lost = false;
    } catch {
      say("The emulator does not answer.");
      lost = true;
    }
  }
})();
