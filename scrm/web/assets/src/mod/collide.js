// A colleague answered first: nothing was sent, the rep looks and decides.
import { all, on, one, t } from "./page.js";
import { drop, say } from "./outgoing.js";

/** Into the box they were written in, unless something new stands there. */
function giveBack(send) {
  drop(send);
  const area = one("[data-composer] textarea");
  if (!area || area.value) return;
  area.value = send.text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
}

export function collide(send, found, again) {
  const sheet = one("#collision");
  say(send, t("还没发：同事刚刚回复了"), { copy: true, retry: again });
  one("[data-said]", sheet).replaceChildren(...found.children);
  one("[data-anyway]", sheet).onclick = () => {
    sheet.close();
    send.body.set("seen", found.dataset.seen);
    again(send);
  };
  one("[data-drop]", sheet).onclick = () => {
    sheet.close();
    giveBack(send);
  };
  sheet.showModal();
}

/** What is being written answers what was on the page when it was begun: only an empty box has seen the refresh. */
export function seen() {
  const renew = () =>
    all("[data-composer]").forEach((form) => {
      if (!form.elements.text.value) form.elements.seen.value = form.dataset.seen;
    });
  document.addEventListener("htmx:after:swap", renew);
  on("submit", "[data-composer]", () => setTimeout(renew));
}
