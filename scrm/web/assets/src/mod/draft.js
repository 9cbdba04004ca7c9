// Half-written words survive a reload: the chat app throws the page away at every switch.
import { all, on } from "./page.js";

const PREFIX = "draft:";
// A blog reports a 2.5 MB cap inside the chat app's side panel.
const CAP = 200_000;

const store = (run) => {
  try {
    return run(localStorage);
  } catch {
    return null; // storage switched off
  }
};
const drafts = (box) => Object.keys(box).filter((key) => key.startsWith(PREFIX));

export const forget = (area) => store((box) => box.removeItem(PREFIX + area.dataset.draft));

function save(area) {
  store((box) => {
    const size = drafts(box).reduce((sum, key) => sum + box[key].length, 0);
    if (!area.value) forget(area);
    else if (size + area.value.length < CAP) box.setItem(PREFIX + area.dataset.draft, area.value);
  });
}

const clear = () => store((box) => drafts(box).forEach((key) => box.removeItem(key)));

export function draft() {
  for (const area of all("[data-draft]")) {
    area.value ||= store((box) => box.getItem(PREFIX + area.dataset.draft)) || "";
  }
  on("input", "[data-draft]", (_, area) => save(area));
  on("submit", "[data-logout]", clear);
}
