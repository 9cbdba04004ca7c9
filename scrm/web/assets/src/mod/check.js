// Before sending: what the rules say while somebody writes, and the sheet when something stands in the way.
import { all, on, one, t, toast } from "./page.js";
import { drop, say } from "./outgoing.js";
import { write } from "./sheet.js";

const PAUSE_MS = 300;
const timers = new WeakMap();
const HEADERS = { "HX-Request": "true", Accept: "text/html" };
const asked = (action) => action.replace(/\/(send|sent)$/, "/check");

async function ask(url, body) {
  const answer = await fetch(url, { method: "POST", body, headers: HEADERS });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return answer.ok ? one("[data-check]", page) : null;
}

/** A token says of itself until when it holds. */
const fresh = (token) => /^ok\./.test(token) && parseInt(token.split(".")[1], 16) * 1000 > Date.now() + 1000;

/** What goes out through the chat app is asked about first; the server itself asks about everything else. */
export async function vetted(send, again) {
  if (send.allowed || fresh(send.body.get("verdict") || "")) return true;
  const found = await ask(asked(send.action), send.body);
  if (!found) throw new Error("no verdict");
  if (found.dataset.level === "ok") return true;
  object(send, found, again);
  return false;
}

/** Nothing was sent: show why, and the ways on. */
export function object(send, found, again) {
  const sheet = one("#check");
  const rewrite = one("[data-rewrite]", found);
  const [better, anyway, mine, form] = ["rewrite", "anyway", "edit", "ask"].map((name) => one(`[data-check-${name}]`, sheet));
  say(send, t("还没发：发送前检查"), { copy: true, retry: again });
  send.held?.(); // nothing went out, so the next tap is no double one
  one("[data-said]", sheet).replaceChildren(found);
  better.hidden = !rewrite;
  anyway.hidden = found.dataset.level !== "warn";
  anyway.classList.toggle("p", !rewrite);
  const go = (text, token) => {
    sheet.close();
    drop(send);
    send.text = text;
    send.allowed = true;
    send.body.set("text", text);
    send.body.set("verdict", token);
    again(send);
  };
  better.onclick = () => go(rewrite.dataset.rewrite, rewrite.dataset.token);
  anyway.onclick = () => go(send.text, found.dataset.token);
  mine.onclick = () => {
    sheet.close();
    drop(send);
    write(send, send.text);
  };
  form.hidden = found.dataset.level !== "block";
  form.action = send.action.replace(/\/(send|sent)$/, "/clearance");
  form.elements.text.value = send.text;
  if (sheet.showModal && !sheet.open) sheet.showModal();
  (rewrite ? better : mine).focus();
}

function look(area) {
  const box = one("[data-checked]", area.form);
  if (!box || !area.form.getAttribute("action")) return;
  clearTimeout(timers.get(area));
  if (!area.value.trim()) return box.replaceChildren();
  timers.set(
    area,
    setTimeout(async () => {
      const text = area.value;
      const body = new FormData();
      body.set("text", text);
      body.set("brief", "1");
      const found = await ask(asked(area.form.getAttribute("action")), body).catch(() => null);
      if (!found || area.value !== text) return;
      box.replaceChildren(found);
      // What may not be sent is not to be carried past us by hand either.
      all("[data-copy-from]", area.form).forEach((b) => (b.disabled = found.dataset.level === "block"));
      area.form.elements.verdict.value = found.dataset.level === "ok" ? found.dataset.token : "";
    }, PAUSE_MS),
  );
}

async function clear(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: HEADERS });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const said = one(answer.ok ? "[data-asked]" : "[data-problem]", page)?.textContent;
  toast(said?.trim() || t("没能更新，请稍后再试"));
  if (answer.ok) form.closest("dialog")?.close();
}

export function checking() {
  on("input", "[data-check-as]", (_, area) => {
    area.form.elements.verdict.value = "";
    look(area);
  });
  document.addEventListener("scrm:written", ({ target }) => look(target));
  on("submit", "[data-clear],[data-check-ask]", (event, form) => {
    if (!form.closest("dialog")) return;
    event.preventDefault();
    clear(form).catch(() => toast(t("没能更新，请稍后再试")));
  });
  on("click", "[data-quote]", (event, link) => {
    const card = one("form[data-send]", document.getElementById("p-rec")) || one("[data-composer]");
    const cid = link.closest("[data-cid]")?.dataset.cid;
    if (!cid || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const via = card?.dataset.send || "api";
    const action = `/s/c/${cid}/${via === "jssdk" ? "sent" : "send"}`;
    if (write({ action, via, body: new FormData() }, link.dataset.quote)) event.preventDefault();
  });
}
