// Filters that answer while one types, fields that show when they matter, and
// the width of the message without asking the server.
for (const input of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.querySelectorAll(input.dataset.filter)];
  if (input.value) continue; // filtered by the server already
  input.addEventListener("input", () => {
    const want = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(want);
  });
  input.form.addEventListener("submit", (event) => event.preventDefault());
}

const conditional = [...document.querySelectorAll("[data-when]")];
const weigh = () => {
  for (const field of conditional) {
    const [name, values] = field.dataset.when.split("=");
    field.hidden = !values.split(",").includes(document.getElementsByName(name)[0].value);
  }
};
if (conditional.length) {
  weigh();
  conditional[0].closest("form").addEventListener("change", weigh);
}

const frame = document.getElementById("frame");
for (const link of document.querySelectorAll("[data-width]")) {
  link.addEventListener("click", (event) => {
    if (!frame || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    frame.className = "frame scroll" + (link.dataset.width ? " w-" + link.dataset.width : "");
    for (const other of document.querySelectorAll("[data-width]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    history.replaceState(null, "", link.href);
  });
}

// On a narrow window the chosen view may lie outside of the strip.
const strip = document.querySelector(".views"), chosen = strip?.querySelector("[aria-current]");
if (chosen) strip.scrollLeft = chosen.offsetLeft - strip.offsetLeft - (strip.clientWidth - chosen.offsetWidth) / 2;
