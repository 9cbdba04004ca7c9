// A tap becomes a bubble at once, then whatever the server or the chat app really says about it.
import { forget } from "./draft.js";
import { hand } from "./hand.js";
import { pend, say } from "./outgoing.js";
import { all, on, one, t, toast, uuid } from "./page.js";
import { post } from "./post.js";

const DOUBLE_TAP_MS = 1500;
const taps = new WeakMap();

function again(send) {
  say(send, t("发送中"));
  return send.via === "jssdk" && !send.body.has("outcome") ? hand(send, again) : post(send, again);
}

function unfilled(form, text) {
  const names = JSON.parse(form.dataset.missing || "[]").filter((name) => text.includes(name));
  if (names.length) toast(t("还没填：{names}", { names: names.join("、") }));
  return names.length > 0;
}

export function submit(form, button) {
  const text = form.elements.text.value.trim();
  const image = form.elements.image?.files[0];
  if (performance.now() - (taps.get(form) ?? -Infinity) < DOUBLE_TAP_MS) return;
  if ((!text && !image) || unfilled(form, text)) return void form.elements.text.focus?.();
  taps.set(form, performance.now());
  const key = uuid();
  form.elements.key.value = key;
  const send = { key, text, via: form.dataset.send, action: form.action, body: new FormData(form) };
  send.held = () => taps.delete(form);
  if (send.via === "jssdk") {
    Object.assign(send, { root: key, files: JSON.parse(form.dataset.files || "[]") });
    send.body.delete("files");
  }
  if (button?.name) send.body.set(button.name, button.value);
  pend(send, text || image.name);
  if (form.matches("[data-composer]")) {
    forget(form.elements.text);
    form.elements.text.value = "";
    if (image) form.elements.image.value = "";
    all("[data-picked]", form).forEach((span) => (span.textContent = ""));
  }
  form.closest("dialog")?.close();
  return again(send);
}

export function sending() {
  on("submit", "form[data-send]", (event, form) => {
    event.preventDefault();
    if (form.dataset.send !== "copy") submit(form, event.submitter);
  });
  on("change", "[name=image]", (_, input) => {
    one("[data-picked]", input.form).textContent = input.files[0]?.name || "";
  });
}
