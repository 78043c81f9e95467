// A button beside everything that is worth copying.
import { say } from "./page.js";

const words = document.body.dataset;

export function add(root = document) {
  for (const text of root.querySelectorAll(".copyable:not([data-copy])")) {
    text.dataset.copy = "1";
    const value = text.getAttribute("href") || text.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = words.copy;
    button.setAttribute("aria-label", words.copy + ": " + value.slice(0, 60));
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(value);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(text);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        return;
      }
      button.textContent = words.copied;
      say(words.copied);
      setTimeout(() => { button.textContent = words.copy; }, 2000);
    });
    text.after(button);
  }
}
add();
document.addEventListener("list:shown", () => add());
