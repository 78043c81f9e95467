// What the modules share: telling the reader, and showing a list anew.

const status = document.getElementById("status");
let fading;
let shown = 0; // how often the list was exchanged

// say tells something for a moment; screen readers read it.
export function say(text) {
  if (!status || !text) return;
  status.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { status.textContent = ""; }, 6000);
}
if (status?.textContent) say(status.textContent);

// show puts the list of another answer in place of this one. What was chosen
// stays chosen, and the focus stays where it was.
export function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const now = document.getElementById("panes"), next = fresh.getElementById("panes");
  if (!now || !next) return false;
  const chosen = new Set([...now.querySelectorAll('input[name="id"]:checked')].map((box) => box.value));
  const active = now.contains(document.activeElement) ? document.activeElement : null;
  const focus = active?.id || (active?.name === "id" ? "row-" + active.value : "");
  const cursor = now.querySelector(".row.cursor")?.id;
  const scroll = window.scrollY;
  shown++;
  now.replaceWith(document.adoptNode(next));
  for (const box of next.querySelectorAll('input[name="id"]')) box.checked = chosen.has(box.value);
  if (cursor) document.getElementById(cursor)?.classList.add("cursor");
  if (focus) {
    const target = document.getElementById(focus);
    (target?.matches(".row") ? target.querySelector("input") : target)?.focus({ preventScroll: true });
  }
  window.scrollTo(0, scroll);
  document.title = fresh.title;
  say(fresh.getElementById("status")?.textContent);
  document.dispatchEvent(new Event("list:shown"));
  return true;
}

// refresh asks for the list again. An answer that another one has overtaken is
// older than what is shown, and is asked for once more.
export async function refresh() {
  for (;;) {
    const before = shown;
    const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const html = await answer.text();
    if (before !== shown) continue;
    show(html);
    return;
  }
}
