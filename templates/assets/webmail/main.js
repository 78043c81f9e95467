// The pages are complete without scripts; each module makes one thing quicker.
import "./theme.js";
import "./copy.js";
import "./forms.js";
import { start as keys } from "./keys.js";
import { start as list } from "./list.js";
import { start as live } from "./live.js";

keys();
list();
live();

// A GET changes nothing: that a message was opened is said here.
const unread = document.querySelector("[data-unread]");
if (unread) {
  fetch("/api/v1/messages", {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ IDs: [unread.dataset.unread], Read: true }),
    keepalive: true,
  }).catch(() => {});
}
