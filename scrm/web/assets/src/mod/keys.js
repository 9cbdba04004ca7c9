// Shortcuts. Silent while somebody types, composes Chinese, or has switched single keys off.
import { all, one } from "./page.js";
import { edit } from "./sheet.js";
import { find, pick } from "./tabs.js";
import { act } from "./todo.js";

const cards = () => all("#p-rec:not([hidden]) [data-card]").filter((card) => card.offsetParent);
const card = () => document.activeElement?.closest("[data-card]") || cards()[0];
const shown = (root, selector) => all(selector, root).find((button) => button.offsetParent);

function row(step) {
  const rows = all("[data-row]");
  const from = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const start = from < 0 ? rows.findIndex((r) => r.hasAttribute("aria-current")) : from;
  const to = rows[Math.min(rows.length - 1, Math.max(0, start + step))];
  to?.focus();
  if (to?.dataset.open !== undefined && !to.hasAttribute("aria-current")) to.click();
}

const single = {
  e: () => card() && edit(card()),
  c: () => card() && shown(card(), "[data-copy]")?.click(),
  t: () => one("#t-tl") && pick(one("#t-tl")),
  j: () => row(1),
  k: () => row(-1),
  "/": () => find(),
};
for (const n of "12345") {
  single[n] = () => cards().filter((c) => c.dataset.n === n).forEach((c) => shown(c, "[data-primary]")?.click());
}

export function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const field = event.target.closest("input,textarea,select,[contenteditable]");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field?.form) {
      event.preventDefault();
      return field.form.requestSubmit ? field.form.requestSubmit() : one("button", field.form).click();
    }
    if (event.key === "Escape" && field?.id === "find-q") return find(false);
    if (event.key === "Enter" && field?.id === "find-q") {
      // Only what is shown for these very words: results on their way are not sent unseen.
      const first = one("#found").dataset.found === field.value.trim() && one("#found [data-card]");
      if (first) shown(first, "[data-primary]")?.click();
      return event.preventDefault();
    }
    if (field || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (document.body.dataset.keys === "off" || one("dialog[open]")) return;
    const letter = /^[a-z]$/.test(event.key);
    const button = letter && (act(event.key) || shown(document, `[data-key="${event.key}"]`));
    const run = single[event.key] || (button && (() => button.click()));
    if (run) {
      event.preventDefault();
      run();
    }
  });
}
