// The site's own login: the page hands over what its server signed, or says where to get it.
import { tell } from "./dom.js";

export function identity({ wire, keep, script, changed }) {
  let token = "";
  let done = "";

  async function fetched() {
    const url = script.dataset.identifyUrl;
    if (!url) return "";
    try {
      const answer = await fetch(url, { credentials: "same-origin", cache: "no-store" });
      return answer.ok && answer.status !== 204 ? (await answer.text()).trim() : "";
    } catch {
      return "";
    }
  }

  const my = {
    given(word) {
      token = String(word || "");
    },
    /** Said once a page; refused, the visitor stays nobody in particular, and the page hears why. */
    async say() {
      const word = token || (await fetched());
      if (!word || word === done) return;
      try {
        const answer = await (await wire.ask("POST", "identify", { body: { identity: word } })).json();
        done = word;
        keep.set("token", answer.token);
        if (answer.changed) changed();
        tell("identified");
      } catch (error) {
        if (!error.status || error.passing) return;
        done = word;
        tell("refused", { reason: error.message });
      }
    },
    forget() {
      token = done = "";
    },
  };
  return my;
}
