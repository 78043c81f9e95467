// A message's page: says that it was read. The list: shows new mail without a
// click, by asking the sink to answer when something newer than the newest
// message on the page arrives. Both pages work without it.
"use strict";
(() => {
  const unread = document.querySelector("[data-unread]");
  if (unread) {
    fetch("/api/v1/messages", {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ IDs: [unread.dataset.unread], Read: true }),
    });
    return;
  }
  const list = document.querySelector("[data-newest]");
  const status = document.querySelector("#live");
  if (!list || !status) return;
  const query = new URLSearchParams({ after: list.dataset.newest, timeout: "50s" });
  for (const key of ["to", "folder", "query"]) if (list.dataset[key]) query.set(key, list.dataset[key]);
  const ask = async () => {
    try {
      const answer = await fetch("/api/v1/wait?" + query, { cache: "no-store" });
      if (answer.status === 200) {
        status.hidden = false;
        if (!document.hidden && document.activeElement === document.body) location.reload();
        return;
      }
      if (answer.status !== 204) return;
    } catch {
      await new Promise((done) => setTimeout(done, 5000));
    }
    ask();
  };
  ask();
})();
