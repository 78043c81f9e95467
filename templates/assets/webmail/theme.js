// Light, dark, or what the system says: at once, and remembered by the server.
const order = { auto: "light", light: "dark", dark: "auto" };
for (const form of document.querySelectorAll("[data-theme-form]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("button"), theme = button.value;
    fetch(form.action, { method: "POST", body: new URLSearchParams({ theme, back: "/help" }), redirect: "manual", keepalive: true }).catch(() => {});
    document.documentElement.dataset.theme = theme;
    button.value = order[theme];
    button.title = button.dataset[theme];
    button.setAttribute("aria-label", button.dataset[theme]);
  });
}
