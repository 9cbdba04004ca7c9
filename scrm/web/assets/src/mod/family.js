// The household's sheets: fetched when asked for, shown in the page's one dialog; a long press opens the parts.
import { one, on, t, toast } from "./page.js";

const LONG_MS = 550;

async function open(url, box) {
  const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" } });
  if (!answer.ok) return toast(t("没能更新，请稍后再试"));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  box.replaceChildren(...page.body.childNodes);
  if (!box.open) box.showModal();
}

export function family() {
  on("click", "[data-sheet]", (event, link) => {
    const box = document.getElementById(link.dataset.sheet);
    if (!box?.showModal || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link.href, box).catch(() => (location.href = link.href));
  });
  let timer;
  let held = false;
  on("pointerdown", "[data-long] .mem:not(.may)", (event, cell) => {
    held = false;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const box = one("#family");
      if (!box?.showModal) return;
      held = true;
      open(cell.closest("[data-long]").dataset.long, box).catch(() => {});
    }, LONG_MS);
  });
  for (const type of ["pointerup", "pointercancel", "pointermove"]) {
    document.addEventListener(type, (event) => (type !== "pointermove" || event.movementX || event.movementY) && clearTimeout(timer));
  }
  // What ends a long press is no click on the cell.
  document.addEventListener("click", (event) => {
    if (!held || !event.target.closest("[data-long] .mem")) return;
    held = false;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  on("click", "[data-dismiss]", (_, button) => document.getElementById(button.dataset.dismiss)?.remove());
  // What was done is said once: not again when the page is loaded again.
  const here = new URL(location);
  if (here.searchParams.has("done")) {
    here.searchParams.delete("done");
    history.replaceState(history.state, "", here);
  }
}
