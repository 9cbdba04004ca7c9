// The board: a tick greys its row at once, the server's list follows; d and p act on the row in focus.
import htmx from "htmx.org/dist/htmx.esm.js";
import { all, on, one, t, toast } from "./page.js";

let next = "";

const again = (element) => {
  const live = element.closest("[data-live]");
  if (live) htmx.trigger(live, "live", {}, false);
};

async function tick(form, button) {
  const row = form.closest("[data-task]");
  const rows = all("[data-task]");
  const at = rows.indexOf(row);
  const held = row?.contains(document.activeElement);
  row?.classList.add("going");
  const body = new FormData(form);
  if (button?.name) body.set(button.name, button.value);
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } });
    if (answer.status === 401) return void (location.href = "/login");
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      throw new Error(one("[data-problem]", page)?.textContent || "");
    }
    // The row goes away: the keys go on with the one below it.
    if (held) next = (rows[at + 1] || rows[at - 1])?.id || "";
    form.closest("details")?.removeAttribute("open");
    if (!row) form.reset();
    again(form);
  } catch (error) {
    row?.classList.remove("going");
    toast(error.message && !(error instanceof TypeError) ? error.message : t("没能更新，请稍后再试"));
  }
}

function goOn() {
  const row = next && document.getElementById(next);
  if (!row || document.activeElement !== document.body) return;
  next = "";
  one("[data-row]", row)?.focus();
}

/** What `key` does to the row in focus; null = nothing here. */
export function act(key) {
  const row = document.activeElement?.closest("[data-task]");
  return (row && one(`[data-task-key="${key}"]`, row)) || null;
}

export function todo() {
  on("submit", "form[data-tick]", (event, form) => {
    event.preventDefault();
    tick(form, event.submitter);
  });
  on("click", "[data-task-key=p]", (_, summary) => setTimeout(() => summary.parentElement.open && one("input", summary.parentElement)?.focus()));
  document.addEventListener("htmx:after:swap", goOn);
}
