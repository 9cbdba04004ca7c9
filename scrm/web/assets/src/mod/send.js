// A tap becomes a bubble at once, then whatever the server or the chat app really says about it.
import { bridge, within } from "./bridge.js";
import { collide } from "./collide.js";
import { forget } from "./draft.js";
import { pend, say, settle } from "./outgoing.js";
import { all, on, one, t, toast, uuid } from "./page.js";

const DOUBLE_TAP_MS = 1500;
const PATIENCE_MS = 10000;
const taps = new WeakMap();

async function post(send) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    const headers = { "HX-Request": "true", Accept: "text/html" };
    const answer = await fetch(send.action, { method: "POST", body: send.body, headers, signal: stop.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status === 401) say(send, t("登录已过期，请重新登录"), { copy: true });
    else if (answer.ok) settle(send, page);
    else if (one("[data-collision]", page)) collide(send, one("[data-collision]", page), again);
    else {
      const why = one("[data-problem]", page)?.textContent || t("服务器没有答应（{n}）", { n: answer.status });
      say(send, t("没有发出去：{why}", { why }), { copy: true, retry: answer.status >= 500 && again });
    }
  } catch {
    // The key makes a repeat harmless, so offering it is safe even when the first try did arrive.
    say(send, t("没有发出去：{why}", { why: t("网络不通") }), { copy: true, retry: again });
  } finally {
    clearTimeout(timer);
  }
}

/** Through the chat app's SDK: it says ok or fail, sometimes late, sometimes never. */
async function hand(send) {
  const sent = bridge.send(send.text);
  try {
    await within(sent, PATIENCE_MS);
    await record(send, "ok");
  } catch (error) {
    if (!error?.timeout) return say(send, t("企业微信没有让发送：{why}", { why: error?.why || "" }), { copy: true });
    say(send, t("可能已发送：10 秒没有回音，请看聊天窗口"), { copy: true });
    await record(send, "unknown");
    sent.then(() => record(send, "ok")).catch(() => {});
  }
}

function record(send, outcome) {
  send.body.set("outcome", outcome);
  return post(send);
}

function again(send) {
  say(send, t("发送中"));
  return send.via === "jssdk" && !send.body.has("outcome") ? hand(send) : post(send);
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
