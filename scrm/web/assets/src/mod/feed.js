// Lists that only grow: a fresh page is merged by id, so loaded pages, open details and the reader's place stay.
import htmx from "htmx.org/dist/htmx.esm.js";
import { all, on, one, t } from "./page.js";

let api;
const real = (item) => !item.matches(".day,[data-empty]");
const inside = (list, id) => list.querySelector(`:scope > [id="${CSS.escape(id)}"]`);

function update(old, item) {
  const piece = document.createDocumentFragment();
  piece.append(item);
  api.morph(old, piece, false);
}

/** Walk the page in order; what is known anchors what is new. Returns how many rows are new. */
function weave(list, items) {
  let [at, added] = [null, 0];
  for (const item of items) {
    const old = inside(list, item.id);
    if (old) {
      if (at && at.compareDocumentPosition(old) & Node.DOCUMENT_POSITION_PRECEDING) at.after(old);
      update(old, item);
      at = old;
    } else {
      if (at) at.after(item);
      else list.prepend(item);
      htmx.process(item);
      added += real(item) ? 1 : 0;
      at = item;
    }
  }
  return added;
}

function append(list, items) {
  for (const item of items) {
    if (inside(list, item.id)) continue;
    list.append(item);
    htmx.process(item);
  }
}

/** True when the page does not touch what is shown: more happened than fits a page, so start over. */
export const gap = (list, items) => !items.some((item) => real(item) && inside(list, item.id));

export function merge(list, page) {
  const [asc, older, items] = [list.dataset.feed === "asc", page.hasAttribute("data-older"), [...page.children]];
  const scroller = list.closest("[data-scroll]");
  const fromEnd = scroller ? scroller.scrollHeight - scroller.scrollTop : 0;
  const pinned = scroller && fromEnd - scroller.clientHeight < 80;
  let added = 0;
  if (items.some(real)) one(":scope > [data-empty]", list)?.remove();
  if (older) asc ? weave(list, items) : append(list, items);
  else if (gap(list, items)) {
    added = all(":scope > li", list).some(real) ? items.filter(real).length : 0;
    const local = all(":scope > [data-local]", list);
    list.replaceChildren(...(asc ? [...items, ...local] : [...local, ...items]));
    htmx.process(list);
  } else added = weave(list, items);
  if (scroller && older) scroller.scrollTop = scroller.scrollHeight - fromEnd;
  else if (pinned) toEnd(list);
  else if (added) announce(list, added);
  document.dispatchEvent(new CustomEvent("scrm:merged", { detail: { list, added } }));
}

export function toEnd(list) {
  const scroller = list.closest("[data-scroll]");
  if (scroller) scroller.scrollTop = scroller.scrollHeight;
  else list.scrollIntoView({ block: "start" });
}

function announce(list, added) {
  const pill = one(`[data-pill="${list.id}"]`);
  const away = list.dataset.feed === "asc" || list.getBoundingClientRect().top < 60;
  if (!pill || !away || !list.offsetParent) return;
  pill.dataset.n = Number(pill.dataset.n || 0) + added;
  pill.textContent = t("{n} 条新动态", { n: pill.dataset.n });
  pill.hidden = false;
}

/** 更早 must go on from where the reader is, not from the newest page again. */
function keepMore({ detail: { tasks } }) {
  for (const { fragment } of tasks) {
    const page = fragment?.querySelector?.("[data-feed]");
    const list = page && document.getElementById(page.id);
    if (!list || page.hasAttribute("data-older") || gap(list, [...page.children])) continue;
    const [now, next] = [one("[data-more]", list.parentElement), fragment.querySelector("[data-more]")];
    if (now && next && list.children.length > page.children.length) next.replaceWith(now.cloneNode(true));
  }
}

/** A place where a list's bubble of ours goes: newest end. */
export function add(list, item) {
  one(":scope > [data-empty]", list)?.remove();
  if (list.dataset.feed === "asc") list.append(item);
  else list.prepend(item);
  if (list.closest("[data-scroll]")) toEnd(list);
}

/** What did not reach the server is known to nobody else: a refresh must not sweep it away. */
function keepLocal(list, page) {
  for (const item of all(":scope > [data-local]", list)) {
    if (!inside(page, item.id)) page.prepend(item.cloneNode(true));
  }
}

const lower = (pill) => {
  pill.hidden = true;
  pill.dataset.n = 0;
};

/** The reader has come to see what is new without the pill. */
function arrived({ target }) {
  if (target === document) {
    const pill = one("[data-pill=tl]:not([hidden])");
    if (pill && document.getElementById("tl").getBoundingClientRect().top > 60) lower(pill);
  } else if (target.matches("[data-scroll]") && target.scrollHeight - target.scrollTop - target.clientHeight < 80) {
    all("[data-pill]", target).forEach(lower);
  }
}

export function feeds() {
  htmx.registerExtension("keep", {
    init: (internal) => void (api = internal),
    htmx_before_morph_node: (old, { newNode }) => {
      if (old.id === "out") keepLocal(old, newNode);
      if (!old.dataset || !("feed" in old.dataset)) return true;
      merge(old, newNode);
      return false;
    },
    // What the reader did to a page (tab, search, details) outlives a refresh.
    htmx_before_morph_attr: (old, { attrName }) => !old.dataset?.keep?.split(" ").includes(attrName),
  });
  document.addEventListener("htmx:before:swap", keepMore);
  on("click", "[data-pill]", (_, pill) => {
    lower(pill);
    toEnd(document.getElementById(pill.dataset.pill));
  });
  document.addEventListener("scroll", arrived, true);
  all("[data-feed=asc]").forEach(toEnd);
}
