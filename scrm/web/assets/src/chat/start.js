// Puts the parts together on the page.
import { chat } from "./chat.js";
import { dress, el, tell } from "./dom.js";
import { keeper } from "./keep.js";
import { wire } from "./wire.js";

/* global CHAT_CSS */
export function start(script) {
  const address = new URL(script.src);
  const account = script.dataset.account || /\/chat\/([^/]+)\//.exec(address.pathname)?.[1];
  if (!account || document.querySelector(`[data-scrm-chat="${account}"]`)) return;
  const base = `${address.origin}/chat/${account}/`;
  const lang = script.dataset.lang || document.documentElement.lang || navigator.language || "zh-CN";
  const host = el("div", { "data-scrm-chat": account, lang });
  const root = host.attachShadow({ mode: "open" });
  dress(root, CHAT_CSS);
  const keep = keeper(account);
  const my = chat({ wire: wire({ base, lang, keep }), keep, lang, script, paint });

  /** The site's colours, once it has said them. */
  function paint({ colour, ink }) {
    host.style.setProperty("--chat", colour);
    host.style.setProperty("--chat-ink", ink);
  }

  const place = () => {
    root.append(...my.parts);
    document.body.append(host);
    for (const name of ["identify", "forget", "open", "close"]) {
      document.addEventListener(`scrm:${name}`, ({ detail }) => my.on[name](detail));
    }
    my.begin();
    tell("ready");
  };
  if (document.body) place();
  else addEventListener("DOMContentLoaded", place, { once: true });
}
