// Tabs (arrow keys, loaded when first opened) and the search box within the cards.
import htmx from "htmx.org/dist/htmx.esm.js";
import { all, on, one } from "./page.js";

export function pick(tab) {
  for (const other of all("[role=tab]", tab.parentElement)) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    panel.hidden = !chosen;
    const lazy = chosen && one("[data-lazy]", panel);
    if (lazy) htmx.trigger(lazy, "live", {}, false);
  }
}

function arrow(event, tab) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const row = all("[role=tab]", tab.parentElement);
  const next = row[(row.indexOf(tab) + step + row.length) % row.length];
  pick(next);
  next.focus();
}

/** What was found takes the place of what is suggested for as long as something is asked. */
export function filter() {
  one("#p-rec")?.toggleAttribute("data-finding", Boolean(one("#find-q")?.value.trim()));
}

export function find(open = true) {
  const [box, button] = [one("#find"), one("[data-find]")];
  if (!box) return;
  if (open) pick(one("#t-rec"));
  box.hidden = !open;
  button.setAttribute("aria-expanded", open);
  const field = one("#find-q");
  if (open) field.focus();
  else if (field.value) {
    field.value = "";
    one("#found").replaceChildren();
    filter();
  }
}

export function tabs() {
  on("click", "[role=tab]", (event, tab) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    pick(tab);
  });
  on("keydown", "[role=tab]", arrow);
  on("click", "[data-find]", (_, button) => find(button.getAttribute("aria-expanded") !== "true"));
  on("input", "#find-q", filter);
  document.addEventListener("htmx:after:swap", filter);
}
