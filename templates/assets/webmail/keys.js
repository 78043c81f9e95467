// Single keys, as the help lists them. They can be switched off, since those
// who speak to their computer press keys by accident (WCAG 2.1.4).
const stored = "invited.keys";
let leader = -Infinity; // when g was pressed

const on = () => localStorage.getItem(stored) !== "off";
const rows = () => [...document.querySelectorAll(".row")];
const here = () => document.activeElement?.closest?.(".row") || document.querySelector(".row.cursor");

function move(step) {
  const list = rows();
  if (!list.length) return document.getElementById(step > 0 ? "older" : "newer")?.click();
  const at = list.indexOf(here()), next = list[at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step];
  if (!next) return document.querySelector(step > 0 ? '.pager [rel="next"]' : '.pager [rel="prev"]')?.focus();
  for (const row of list) row.classList.toggle("cursor", row === next);
  next.querySelector("a").focus();
  next.scrollIntoView({ block: "nearest" });
}

// act presses a button: on the message, or for the chosen rows or this one.
function act(action) {
  const single = document.querySelector(`#act button[value="${action}"]`);
  if (single) return single.click();
  const button = document.querySelector(`#mails .toolbar button[value="${action}"]`);
  if (!button) return;
  if (button.disabled) {
    const row = here();
    if (!row) return;
    const after = row.nextElementSibling || row.previousElementSibling;
    row.querySelector("input").click();
    if (action === "delete" && after) {
      row.classList.remove("cursor");
      after.classList.add("cursor");
      after.querySelector("a").focus();
    }
  }
  button.click();
}

const commands = {
  j: () => move(1),
  k: () => move(-1),
  x: () => here()?.querySelector("input").click(),
  "/": () => document.getElementById("q")?.select(),
  u: () => (document.getElementById("back") || document.querySelector(".everyone a, .folders a"))?.click(),
  m: () => act("unread"),
  "#": () => act("delete"),
  "?": () => document.getElementById("help")?.togglePopover?.(),
};
const places = { i: "/?folder=Inbox", j: "/?folder=Junk", a: "/", f: "/faults" };

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !on()) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector(":popover-open") && event.key !== "?") return;
  if (event.timeStamp - leader < 1500 && places[event.key]) {
    leader = -Infinity;
    const tab = document.querySelector(`[data-go="${{ i: "inbox", j: "junk", a: "all" }[event.key]}"]`);
    location.href = tab ? tab.href : places[event.key];
    event.preventDefault();
    return;
  }
  leader = event.key === "g" ? event.timeStamp : -Infinity;
  const command = commands[event.key];
  if (!command) return;
  event.preventDefault();
  command();
}

export function start() {
  document.addEventListener("keydown", press);
  for (const line of document.querySelectorAll("[data-keys]")) {
    const box = line.querySelector("input");
    line.hidden = false;
    box.checked = on();
    box.addEventListener("change", () => localStorage.setItem(stored, box.checked ? "on" : "off"));
  }
}
