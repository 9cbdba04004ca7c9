// The button in the corner and the window it opens: by mouse, keyboard and screen reader alike.
import { el, icon } from "./dom.js";

const TALK = "M4 5h16v11H9l-5 4Z";
const CROSS = "M6 6l12 12M18 6L6 18";
const PLANE = "M3 11l18-8-8 18-2.500-7.500Z";
const CLIP = "M19 11l-7.500 7.500a4.500 4.500 0 0 1-6.400-6.400l8-8a3 3 0 0 1 4.300 4.300l-8 8a1.500 1.500 0 0 1-2.100-2.100L14 7.500";

export function panel({ t, log, act }) {
  const title = el("h2", { id: "title" });
  const shut = el("button", { type: "button", class: "icon", "aria-label": t.close, onclick: () => show(false) }, icon(CROSS));
  const notice = el("p", { class: "notice", hidden: true });
  const older = el("button", { type: "button", class: "older", hidden: true, onclick: act.older }, t.older);
  const greeting = el("p", { class: "greeting" });
  const status = el("p", { class: "status", role: "status" });
  const words = el("textarea", { id: "say", rows: "1", maxlength: "4000", placeholder: t.say, oninput: typed, onkeydown: enter });
  const pick = el("input", { id: "pick", type: "file", onchange: picked });
  const clip = el("label", { class: "icon clip", for: "pick", title: t.attach }, pick, icon(CLIP), el("span", { class: "sr" }, t.attach));
  const send = el("button", { class: "icon send", "aria-label": t.send }, icon(PLANE));
  const form = el("form", { onsubmit: submit }, clip, el("label", { class: "sr", for: "say" }, t.say), words, send);
  log.box.prepend(older, greeting);
  const head = el("div", { class: "head" }, title, shut);
  const box = el("section", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: true, onkeydown: keys }, head, notice, log.box, status, form);
  const badge = el("span", { class: "badge", hidden: true });
  const knob = el("button", { type: "button", class: "knob", "aria-expanded": "false", "aria-label": t.open, onclick: () => show(box.hidden) }, icon(TALK), badge);

  function show(open) {
    if (box.hidden === !open) return;
    box.hidden = !open;
    knob.setAttribute("aria-expanded", String(open));
    (open ? words : knob).focus();
    act.shown(open);
  }

  /** Tab stays inside while the window is open, Escape leaves it. */
  function keys(event) {
    if (event.key === "Escape") show(false);
    if (event.key !== "Tab") return;
    const stops = [...box.querySelectorAll("button, textarea, input, a[href], [tabindex='0']")].filter((e) => !e.hidden && e.getClientRects().length);
    const here = box.getRootNode().activeElement;
    const leaving = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (here !== leaving) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
  }

  function enter(event) {
    // Enter that picks a Chinese word is not Enter that sends.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit(event);
  }

  function submit(event) {
    event.preventDefault();
    const text = words.value.trim();
    if (!text) return words.focus();
    words.value = "";
    words.rows = 1;
    act.say(text);
  }

  function typed() {
    words.rows = Math.min(5, words.value.split("\n").length);
    if (words.value) act.typing();
  }

  function picked() {
    const [file] = pick.files;
    if (file) act.file(file);
    pick.value = "";
  }

  return {
    parts: [knob, box],
    show,
    open: () => !box.hidden,
    status: (text) => (status.textContent = text),
    older: (more) => (older.hidden = !more),
    unread(count) {
      badge.hidden = !count;
      badge.textContent = count > 99 ? "99+" : count || "";
      knob.setAttribute("aria-label", count ? `${t.open}, ${t.unread(count)}` : t.open);
    },
    site(site, away) {
      title.textContent = site.name;
      greeting.textContent = site.greeting || t.greeting;
      notice.textContent = away;
      notice.hidden = !away;
      clip.hidden = !site.upload_max;
    },
  };
}
