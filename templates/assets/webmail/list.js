// Choosing messages, and doing something with them without leaving the list.
import { say, show } from "./page.js";

const boxes = () => [...document.querySelectorAll('#mails input[name="id"]')];

// tally shows how many are chosen, and lets only then do something with them.
function tally() {
  const form = document.querySelector("form#mails"), all = document.getElementById("all"), count = document.getElementById("chosen");
  if (!form || !all) return;
  const chosen = boxes().filter((box) => box.checked).length;
  all.closest("label").hidden = false;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
  count.textContent = chosen ? count.dataset.text.replace("{count}", chosen) : "";
  for (const button of form.querySelectorAll('.toolbar button')) button.disabled = !chosen;
  for (const box of boxes()) box.closest(".row").classList.toggle("chosen", box.checked);
}

let last; // box that was clicked, for choosing a range with shift

export function start() {
  tally();
  document.addEventListener("list:shown", tally);
  document.addEventListener("change", (event) => {
    if (event.target.id === "all") for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.closest("#mails")) tally();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.matches?.('#mails input[name="id"]')) return;
    const list = boxes(), at = list.indexOf(event.target), from = list.indexOf(last);
    if (event.shiftKey && from >= 0) for (const box of list.slice(Math.min(at, from), Math.max(at, from) + 1)) box.checked = event.target.checked;
    last = event.target;
    tally();
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.getAttribute("id") !== "mails") return; // form.id is its field of that name
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    for (const box of boxes()) box.checked = false;
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body });
      const html = await answer.text();
      if (!answer.ok || !show(html)) say(new DOMParser().parseFromString(html, "text/html").querySelector("main")?.textContent.trim());
    } catch {
      form.submit();
    }
  });
}
