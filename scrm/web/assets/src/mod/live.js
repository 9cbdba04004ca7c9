// The stream says only which topic moved; every fragment then asks for itself under its own policy.
// Not htmx's SSE extension: it hides the age of the last byte and the next try, which the dot must show, keeps one
// connection per element where we want one per page, and costs more bytes than this file.
import htmx from "htmx.org/dist/htmx.esm.js";
import { all, one, t, toast } from "./page.js";
import { typed } from "./typing.js";

const FRESH_MS = 20000;
const STALE_MS = 60000;
// The server speaks every 15 s; after this long a silent connection is taken for dead.
const SILENT_MS = 40000;
const HIDDEN_MS = 60000;

const now = () => performance.now();
let source = null;
let open = false;
let heard = now();
let tries = 0;
let retryAt = 0;
let timer = 0;
let known = "";
let away = false;
let missed = 0;

/** Every topic any fragment of this page mentions. */
const topics = () =>
  [...new Set(all("[data-topics]").flatMap((e) => e.dataset.topics.split(" ")).filter(Boolean))].sort().join(",");

// One request in flight and one waiting per fragment: `hx-sync` in the markup does that. Not bubbling, because
// live fragments lie within live fragments.
function refetch(topic) {
  for (const element of all("[data-live]:not([data-lazy])")) {
    if (!topic || element.dataset.live.split(" ").includes(topic)) htmx.trigger(element, "live", {}, false);
  }
}

function fresh() {
  if (away) setTimeout(back, 1500);
  tries = 0;
  refetch();
}

/** What the first list gained since the stream broke is what was missed. */
function back() {
  if (!open) return;
  toast(missed ? t("已补齐 {n} 条", { n: missed }) : t("已恢复连接"));
  away = false;
}

function hear() {
  heard = now();
  open = true;
  show();
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
  open = false;
}

function lost() {
  const refused = source?.readyState === EventSource.CLOSED;
  close();
  tries += 1;
  if (!away) [away, missed] = [true, 0];
  const delay = Math.min(60000, 500 * 2 ** (tries - 1)) * (0.7 + Math.random() * 0.6);
  retryAt = now() + delay;
  timer = setTimeout(connect, delay);
  // An answer that is no stream may mean that the session ended: any fragment finds out.
  if (refused && tries === 2) refetch();
  show();
}

function connect() {
  close();
  known = topics();
  if (!known) return;
  source = new EventSource(`/live?topics=${encodeURIComponent(known)}`);
  const hears = (run) => (event) => {
    hear();
    run?.(event);
  };
  source.onopen = hears();
  source.addEventListener("beat", hears());
  source.addEventListener("fresh", hears(fresh));
  source.addEventListener("typing", hears(({ data }) => typed(JSON.parse(data).topic)));
  source.addEventListener("ring", hears(() => refetch("ring")));
  source.addEventListener("change", hears(({ data }) => refetch(JSON.parse(data).topic)));
  source.onerror = lost;
}

function show() {
  const age = now() - heard;
  if (source && open && age > SILENT_MS) return lost();
  const state = age > STALE_MS ? "offline" : open && age <= FRESH_MS ? "live" : "connecting";
  const word = { live: t("实时"), connecting: t("连接中"), offline: t("离线") }[state];
  for (const dot of all("[data-dot]")) {
    if (dot.dataset.dot !== state) dot.dataset.dot = state;
    const span = one("span", dot);
    if (span.textContent !== word) span.textContent = word;
  }
  const bar = one("#offbar");
  bar.hidden = state !== "offline";
  if (!bar.hidden) {
    const s = Math.ceil((retryAt - now()) / 1000);
    const n = Math.max(tries, 1);
    one("span", bar).textContent =
      s > 0 ? t("网络断开，正在重连（第 {n} 次，{s} 秒后）。", { n, s }) : t("网络断开，正在重连（第 {n} 次）。", { n });
  }
}

function guard(event) {
  const { ctx } = event.detail;
  if (ctx.response.status < 400 || !ctx.sourceElement?.closest?.("[data-live]")) return;
  // htmx 4 swaps error bodies too; a fragment that could not be refreshed keeps what it shows.
  event.preventDefault();
  if (ctx.response.status === 401) location.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  else toast(t("没能更新，请稍后再试"));
}

export function live() {
  document.addEventListener("htmx:before:response", guard);
  document.addEventListener("scrm:merged", ({ detail: { list, added } }) => {
    if (away && list === one("[data-feed]")) missed += added;
  });
  document.addEventListener("htmx:after:swap", () => {
    if (topics() !== known) reopen();
    show();
  });
  let hiding;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
    else if (!open) reopen();
  });
  addEventListener("online", () => !open && reopen());
  addEventListener("pageshow", ({ persisted }) => persisted && reopen());
  addEventListener("pagehide", close);
  setInterval(show, 1000);
  connect();
}

/** Asked for by us rather than forced by a failure: no waiting. */
function reopen() {
  connect();
  show();
}
