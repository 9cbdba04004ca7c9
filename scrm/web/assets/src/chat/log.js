// The talk on screen: each message once, in its order, whatever arrives first.
import { el } from "./dom.js";
import { picture, save } from "./files.js";
import { clock, size } from "./words.js";

export function log({ wire, t, lang, retry }) {
  const list = el("div", { class: "list" });
  const box = el("div", { class: "log", role: "log", "aria-label": t.log, "aria-live": "off", tabindex: "0" }, list);
  let rows = new Map();
  let readAt = "";

  const name = (item) => (item.key ? `k${item.key}` : item.id);
  const low = () => box.scrollHeight - box.scrollTop - box.clientHeight < 80;

  function content({ kind, file, text, recalled }) {
    if (recalled) return [el("em", {}, t.recalled)];
    if (!file) return [text];
    const said = /^\[/.test(text) ? [] : [el("span", {}, text)];
    if (kind === "image") return [picture(wire, file), ...said];
    return [el("button", { class: "file", type: "button", onclick: () => save(wire, file).catch(() => {}) }, t.save(file.name, size(file.size)))];
  }

  function draw(row) {
    const { item, node } = row;
    const shown = JSON.stringify([item.text, item.recalled, item.file?.id]);
    if (row.shown !== shown) {
      row.shown = shown;
      row.say = el("div", { class: "say" }, ...content(item));
      const who = el("span", { class: "who" }, item.mine ? t.me : item.who || t.us);
      row.state = el("span", { class: "state" });
      const foot = el("div", { class: "foot" }, el("time", { datetime: item.at }, clock(item.at, lang)), row.state);
      node.replaceChildren(who, row.say, foot);
    }
    node.className = `msg ${item.mine ? "mine" : ""} ${item.state || ""}`;
    const word = { sending: t.sending, waiting: t.waiting, failed: t.failed(item.why || t.trouble) }[item.state] || item.note;
    const again = item.state === "failed" && item.again;
    row.state.replaceChildren(word || "", ...(again ? [el("button", { type: "button", onclick: () => retry(item) }, t.retry)] : []));
  }

  function put(item) {
    const known = rows.get(name(item));
    const row = known || { node: el("div") };
    row.item = item.id ? { ...item } : { ...row.item, ...item };
    rows.set(name(item), row);
    draw(row);
    if (known && known.at === row.item.at) return;
    row.at = row.item.at;
    // What is on its way stands below everything that has arrived.
    const rank = ({ item: one }) => (one.id ? one.at : `9${one.at}`);
    const next = [...list.children].find((node) => node.row && node.row !== row && rank(node.row) > rank(row));
    row.node.row = row;
    list.insertBefore(row.node, next || null);
  }

  /** Only the last of ours says how far it got. */
  function receipts() {
    const mine = [...list.children].map((node) => node.row).filter(({ item }) => item.mine && item.id);
    const last = (so) => mine.filter(so).pop();
    const read = last(({ item }) => item.at <= readAt);
    for (const row of mine) {
      row.item.note = row === read ? t.read : row === mine[mine.length - 1] && row !== read ? t.sent : "";
      draw(row);
    }
  }

  return {
    box,
    has: (item) => rows.get(name(item))?.item.id,
    merge(items, { read_at = readAt, older = false } = {}) {
      const down = low() && !older;
      const height = box.scrollHeight;
      readAt = read_at || readAt;
      items.forEach(put);
      receipts();
      if (down) box.scrollTop = box.scrollHeight;
      if (older) box.scrollTop += box.scrollHeight - height;
      // What was there before is not news.
      setTimeout(() => box.setAttribute("aria-live", "polite"));
    },
    bottom: () => (box.scrollTop = box.scrollHeight),
    clear() {
      rows = new Map();
      readAt = "";
      list.replaceChildren();
    },
    list,
  };
}
