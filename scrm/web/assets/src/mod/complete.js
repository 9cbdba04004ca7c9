// Variables in the editor of scripts: two braces open the list, arrows choose, Enter or Tab takes.
import { all, on, one } from "./page.js";

const box = (area) => one("ul", area.parentElement);

/** What stands between the last `{{` and the caret; null outside of braces. */
function typed(area) {
  const before = area.value.slice(0, area.selectionStart);
  const found = /\{\{\s*([\w.]*)$/.exec(before);
  return found && found[1];
}

function close(area) {
  box(area)?.remove();
  area.removeAttribute("aria-activedescendant");
}

function mark(area, item) {
  for (const one of all("li", box(area))) one.setAttribute("aria-selected", one === item);
  area.setAttribute("aria-activedescendant", item.id);
  item.scrollIntoView({ block: "nearest" });
}

function open(area) {
  close(area);
  const begun = typed(area);
  if (begun === null) return;
  const known = all("option", document.getElementById(area.dataset.complete));
  const fits = known.filter((o) => o.value.includes(begun) || o.textContent.includes(begun)).slice(0, 12);
  if (!fits.length || (fits.length === 1 && fits[0].value === begun)) return;
  const list = Object.assign(document.createElement("ul"), { role: "listbox" });
  list.setAttribute("aria-label", area.labels[0]?.firstChild.textContent || "");
  fits.forEach((option, n) => {
    const item = Object.assign(document.createElement("li"), { id: `var-${n}`, role: "option" });
    const code = Object.assign(document.createElement("code"), { textContent: option.value });
    const label = Object.assign(document.createElement("span"), { textContent: option.textContent });
    item.append(code, label);
    item.dataset.take = option.value;
    list.append(item);
  });
  area.after(list);
  mark(area, list.firstChild);
}

function take(area, name) {
  const at = area.selectionStart;
  const start = at - typed(area).length;
  const rest = area.value.slice(at);
  const gap = /\{$/.test(area.value.slice(0, start)) ? " " : "";
  const tail = /^\s*\}\}/.test(rest) ? "" : " }}";
  area.setRangeText(gap + name + tail, start, at, "end");
  close(area);
  area.focus();
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

function steer(event, area) {
  const list = box(area);
  if (!list || event.isComposing) return;
  const items = all("li", list);
  const now = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) mark(area, items[(now + step + items.length) % items.length]);
  else if (event.key === "Enter" || event.key === "Tab") take(area, items[now].dataset.take);
  else if (event.key === "Escape") close(area);
  else return;
  event.preventDefault();
}

export function completing() {
  on("input", "[data-complete]", (_, area) => open(area));
  on("keydown", "[data-complete]", steer);
  on("focusout", "[data-complete]", (_, area) => close(area));
  on("mousedown", "[data-take]", (event, item) => {
    event.preventDefault();
    take(one("[data-complete]", item.closest(".complete")), item.dataset.take);
  });
}
