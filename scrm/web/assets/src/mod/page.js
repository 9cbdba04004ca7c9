// Words, toast, clipboard and ids: what every module needs.
const block = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
const words = block("words") || {};

/** The reader's language; the key is the Chinese text, `{n}` takes values. */
export const t = (text, values = {}) => (words[text] || text).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

export const boot = () => block("boot");
export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];
/** Listen on the document: fragments come and go. */
export const on = (type, selector, run) =>
  document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (found) run(event, found);
  });

let hide;
export function toast(text) {
  const box = one("#toast");
  one("span", box).textContent = text;
  box.classList.add("on");
  clearTimeout(hide);
  hide = setTimeout(() => box.classList.remove("on"), 5000);
}

/** 128 random bits as 32 hex digits; `crypto.randomUUID` needs https, this does not. */
export const uuid = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

/** The clipboard API needs https and a permission; the old way is asked second. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "sr" });
    (one("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function copying() {
  on("click", "[data-copy],[data-copy-from]", async (_, button) => {
    const from = button.dataset.copyFrom;
    const done = await copy(from ? document.getElementById(from).value : button.dataset.copy);
    toast(done ? t("已复制，请到聊天窗口粘贴") : t("复制不了，请长按文字复制"));
  });
}
