// Both ends see that the other is writing, in our own web chat; nothing of it is kept.
import { on, one } from "./page.js";

const AGAIN_MS = 3000;
const SHOWN_MS = 6000;
let told = -AGAIN_MS;
let hide;

/** The customer of a topic is writing: shown where that customer's conversation is open. */
export function typed(topic) {
  const line = one("[data-types] span");
  if (!line?.closest("[data-topics]").dataset.topics.split(" ").includes(topic)) return;
  line.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => (line.hidden = true), SHOWN_MS);
}

export function typing() {
  on("input", "[data-typing] textarea", ({ timeStamp }, area) => {
    if (timeStamp - told < AGAIN_MS || !area.value) return;
    told = timeStamp;
    // Lost is lost: the next key says it again.
    fetch(area.form.dataset.typing, { method: "POST" }).catch(() => {});
  });
}
