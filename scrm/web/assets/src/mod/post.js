// One message on its way to the server, and what the server says of it.
import { object } from "./check.js";
import { collide } from "./collide.js";
import { say, settle } from "./outgoing.js";
import { one, t } from "./page.js";

const PATIENCE_MS = 10000;

/** `again`: how the rep may try once more. */
export async function post(send, again) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    const headers = { "HX-Request": "true", Accept: "text/html" };
    const answer = await fetch(send.action, { method: "POST", body: send.body, headers, signal: stop.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status === 401) say(send, t("登录已过期，请重新登录"), { copy: true });
    else if (answer.ok) settle(send, page);
    else if (one("[data-check]", page)) object(send, one("[data-check]", page), again);
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

export function record(send, outcome, again) {
  send.body.set("outcome", outcome);
  return post(send, again);
}
