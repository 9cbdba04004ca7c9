// Whose telephone rings sees the customer at once, unless they are writing to somebody.
import { all, one } from "./page.js";

const KEY = "rung";
const SEEN = 50;

const seen = () => {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) || [];
  } catch {
    return [];
  }
};

/** Once per call and tab: whoever goes back to where they were stays there. */
function first(id) {
  const known = seen();
  if (known.includes(id)) return false;
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...known, id].slice(-SEEN)));
  } catch {
    return false; // it could not be remembered: opening it again and again would be worse
  }
  return true;
}

const writing = () => all("[data-draft]").some((field) => field.value) || one("dialog[open]");

function open() {
  const ring = one("#ringing [data-open]");
  if (!ring || writing() || !first(ring.dataset.ring)) return;
  if (location.pathname !== ring.dataset.open) location.assign(ring.dataset.open);
}

export function ringing() {
  if (!one("#ringing")) return;
  document.addEventListener("htmx:after:swap", open);
  open();
}
