// Relative times grow old by themselves; the rules are those of scrm/web/render.py.
import { all, t } from "./page.js";

const at = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hour12: false, ...options });
const time = at({ hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Shanghai" });

function ago(then, now) {
  const minutes = Math.floor((now - then) / 60000);
  if (minutes >= 0 && minutes < 60) return minutes ? t("{n} 分钟前", { n: minutes }) : t("刚刚");
  const date = day.format(then);
  if (date === day.format(now)) return time.format(then);
  return date.slice(0, 4) === day.format(now).slice(0, 4) ? date.slice(5) : date;
}

function waited(since, now) {
  const minutes = Math.max(0, Math.floor((now - since) / 60000));
  return minutes < 60 ? t("等 {n} 分钟", { n: minutes }) : t("等 {n} 小时", { n: Math.floor(minutes / 60) });
}

function tick() {
  const now = new Date();
  const say = (element, text) => element.textContent !== text && (element.textContent = text);
  all("[data-ago]").forEach((element) => say(element, ago(new Date(element.dataset.ago), now)));
  all("[data-wait]").forEach((element) => say(element, waited(new Date(element.dataset.wait), now)));
}

export const clock = () => setInterval(tick, 20000);
