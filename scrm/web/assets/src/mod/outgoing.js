// The bubbles of what is on its way, in every list this page shows.
import { add } from "./feed.js";
import { all, one } from "./page.js";

const LISTS = { ev: "bubs", tl: "tl", out: "out" };

/** The grey bubble, at once. */
export function pend(send, text = send.text) {
  return Object.entries(LISTS).flatMap(([prefix, id]) => {
    const [list, mould] = [document.getElementById(id), one(`[data-pending="${prefix}"]`)];
    if (!list || !mould) return [];
    const item = mould.content.firstElementChild.cloneNode(true);
    item.id = `${prefix}-${send.key}`;
    item.dataset.local = "";
    one("[data-words]", item).textContent = text;
    all("[data-copy]", item).forEach((button) => (button.dataset.copy = text));
    add(list, item);
    return [item];
  });
}

/** Say what is known; look every bubble up again, a refresh may have replaced it. */
export function say(send, text, { retry, copy = false } = {}) {
  const shown = Object.keys(LISTS).map((prefix) => document.getElementById(`${prefix}-${send.key}`)).filter(Boolean);
  for (const item of shown.length ? shown : pend(send)) {
    const state = one(".st", item);
    if (!state) continue;
    state.classList.toggle("c-bad", copy);
    one("[data-state-text]", state).textContent = text;
    one("use", state).setAttribute("href", copy ? "#i-no" : "#i-ck");
    all("[data-retry]", state).forEach((b) => Object.assign(b, { hidden: !retry, onclick: () => retry(send) }));
    all("[data-copy]", state).forEach((b) => (b.hidden = !copy));
  }
}

/** Its bubbles go: it was not sent, and will not be as it was. */
export const drop = (send) => all(`[id$="-${send.key}"][data-local]`).forEach((item) => item.remove());

/** The server's own bubbles take the place of ours. */
export function settle(send, page) {
  for (const item of all("li[id]", page)) {
    const [prefix] = item.id.split("-", 1);
    const list = document.getElementById(LISTS[prefix]);
    if (!list) continue;
    const ours = document.getElementById(`${prefix}-${send.key}`);
    const known = document.getElementById(item.id);
    if (known && known !== ours) known.remove();
    if (ours) ours.replaceWith(item);
    else add(list, item);
  }
}
