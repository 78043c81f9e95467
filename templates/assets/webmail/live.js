// New mail shows as it arrives: told by the event socket or, where that is not
// let through, by asking the sink to answer when something newer is there.
import { refresh, say } from "./page.js";

const light = document.getElementById("live");
let due, ran = 0, running = false;

function shine(up) {
  if (!light) return;
  light.hidden = false;
  light.classList.toggle("up", up);
  light.title = up ? light.dataset.up : light.dataset.down;
  light.textContent = light.title;
}

// soon shows the list anew: at once if it was quiet, else once a second.
function soon() {
  if (due || document.hidden) { due ||= -1; return; }
  due = setTimeout(async () => {
    if (running) { due = 0; return soon(); }
    due = 0;
    running = true;
    try { await refresh(); } catch { shine(false); }
    running = false;
    ran = Date.now();
  }, Math.max(80, 1000 - (Date.now() - ran)));
}

function listen(failures) {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/events");
  let opened = false;
  socket.onopen = () => {
    soon(); // something may have changed before there was a socket
    opened = true;
    shine(true);
  };
  socket.onmessage = (event) => {
    const { Type, Data } = JSON.parse(event.data);
    if (Type === "error") return say("SMTP: " + Data.Message);
    if (Type !== "stats") soon();
  };
  socket.onclose = () => {
    shine(false);
    const again = opened ? 1 : failures + 1;
    if (again > 2) poll();
    else setTimeout(() => listen(again), 1000 * again);
  };
}

// poll waits for the first message newer than the newest on the page.
async function poll() {
  for (;;) {
    const list = document.getElementById("mails");
    if (!list) return;
    const query = new URLSearchParams({ timeout: "50s" });
    if (list.dataset.newest) query.set("after", list.dataset.newest);
    for (const key of ["to", "folder", "query"]) if (list.dataset[key]) query.set(key, list.dataset[key]);
    try {
      const answer = await fetch("/api/v1/wait?" + query, { cache: "no-store" });
      if (answer.status === 200) await refresh();
      else if (answer.status !== 204) return;
      shine(true);
    } catch {
      shine(false);
      await new Promise((done) => setTimeout(done, 5000));
    }
  }
}

export function start() {
  if (!document.querySelector("#mails[data-live]")) return;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && due === -1) { due = 0; soon(); }
  });
  listen(0);
}
