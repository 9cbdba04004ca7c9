// The chat app's side panel: ask the app who the customer is, show the fragment.
import htmx from "htmx.org/dist/htmx.esm.js";
import { bridge, connect, mock, within } from "./mod/bridge.js";
import { boot, one, t } from "./mod/page.js";
import { start } from "./mod/start.js";
import { wecom } from "./mod/wecom.js";

async function locate({ find_url: url }) {
  const line = one("#finding");
  if (!line || bridge.kind === "copy") return;
  try {
    const user = await within(bridge.context(), 10000);
    const asked = new URL(url, location);
    asked.searchParams.set("external_userid", user);
    if (user) await htmx.ajax("GET", asked.pathname + asked.search, { target: "#customer", swap: "outerHTML" });
  } catch (error) {
    line.textContent = t("没能从企业微信得到当前客户：{why}", { why: error?.why || t("网络不通") });
  }
}

const given = boot();
connect(wecom(given), mock(given));
start();
if (given) locate(given);
