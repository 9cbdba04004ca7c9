// One conversation: what was said before, what comes, what we say.
import { uuid } from "./dom.js";
import { upload } from "./files.js";
import { identity } from "./identity.js";
import { log as makeLog } from "./log.js";
import { pages } from "./pages.js";
import { panel } from "./panel.js";
import { queue } from "./queue.js";
import { follow } from "./stream.js";
import { unread } from "./unread.js";
import { moment, words } from "./words.js";

const TYPING_MS = 3000;
const SHOWN_MS = 6000;
const HIDDEN_MS = 300000;

export function chat({ wire, keep, lang, script, paint }) {
  const t = words(lang);
  const files = new Map();
  let site = null;
  let stop = null;
  let told = -TYPING_MS;
  let quiet;

  const log = makeLog({ wire, t, lang, retry });
  const ui = panel({ t, log, act: { older: () => past.older(), shown, say, typing, file } });
  const out = queue({ wire, keep, mark });
  const news = unread({ wire, keep, show: ui.unread, watching: () => ui.open() && !document.hidden });
  const past = pages({ wire, log, ui, arrived });
  const who = identity({ wire, keep, script, changed: fresh });

  function known(answer) {
    site = answer;
    paint(site);
    ui.site(site, site.open ? "" : site.back_at ? t.back(moment(site.back_at, lang)) : t.away);
  }

  function mark({ key, text, at }, state, why = "") {
    log.merge([{ key, text, at, mine: true, kind: "text", state, why, again: true }]);
    if (state === "sent") talked();
  }

  function say(text) {
    const one = { key: uuid(), text, at: new Date().toISOString() };
    mark(one, "sending");
    log.bottom();
    out.say(one);
  }

  function file(one) {
    if (site && one.size > site.upload_max) return ui.status(t.large(Math.floor(site.upload_max / 1048576)));
    const key = uuid();
    files.set(key, one);
    push({ key, text: one.name, at: new Date().toISOString() });
    log.bottom();
  }

  async function push(one) {
    mark(one, "sending");
    try {
      await upload(wire, files.get(one.key), one.key, (percent) => ui.status(t.upload(one.text, percent)));
      files.delete(one.key);
      mark(one, "sent");
    } catch (error) {
      mark(one, "failed", error.message);
    }
    ui.status("");
  }

  function retry({ key, text, at }) {
    if (files.has(key)) return push({ key, text, at });
    return out.say({ key, text, at });
  }

  function typing() {
    if (!keep.get("talked") || performance.now() - told < TYPING_MS) return;
    told = performance.now();
    wire.ask("POST", "typing").catch(() => {});
  }

  /** Somebody who has spoken is listened for, also with the window closed. */
  function talked() {
    keep.set("talked", true);
    if (stop) return;
    stop = new AbortController();
    follow(wire, hear, stop.signal);
  }

  function hear(event) {
    if (event === "lost") return ui.status(t.offline);
    if (event === "fresh" || event === "change") {
      ui.status("");
      if (event === "fresh") out.flush();
      return past.load();
    }
    if (event !== "typing") return;
    ui.status(t.types);
    clearTimeout(quiet);
    quiet = setTimeout(() => ui.status(""), SHOWN_MS);
  }

  function arrived(items, said) {
    known(said);
    news.count(items);
    if (items.length) ui.status("");
  }

  async function shown(open) {
    if (!open) return;
    log.bottom();
    try {
      known((await wire.open()).site);
      await who.say();
      if (keep.get("talked")) talked();
    } catch (error) {
      ui.status(error.status ? error.message : t.offline);
    }
    news.read();
  }

  function fresh() {
    past.clear();
    news.clear();
    past.load();
  }

  function quit() {
    stop?.abort();
    stop = null;
    who.forget();
    keep.forget();
    wire.reset();
    past.clear();
    news.clear();
    ui.show(false);
  }

  async function begin() {
    for (const one of out.list()) mark(one, "waiting");
    let hiding;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (!document.hidden && ui.open()) news.read();
      if (!document.hidden && !stop && keep.get("talked")) talked();
      // A tab nobody looks at needs no line of its own for long.
      if (document.hidden) hiding = setTimeout(() => (stop = stop?.abort() && null), HIDDEN_MS);
    });
    try {
      known((await wire.open()).site);
    } catch {
      return; // the window says so when it is opened
    }
    if (!keep.get("talked") && !out.list().length) return;
    await who.say();
    out.flush();
    if (keep.get("talked")) talked();
  }

  const identify = (detail) => {
    who.given(detail?.token);
    if (ui.open() || keep.get("talked")) who.say();
  };
  return { parts: ui.parts, begin, on: { identify, forget: quit, open: () => ui.show(true), close: () => ui.show(false) } };
}
