// 改一下: the card's words in a sheet, to be changed before they go.
import { all, on, one, t } from "./page.js";

export function edit(card) {
  const [sheet, form] = [one("#sheet"), one("#sheet form")];
  const source = one("form[data-send]", card);
  if (!sheet?.showModal || !source) return false;
  const missing = all("mark.bad", card).map((mark) => mark.textContent);
  form.action = source.getAttribute("action");
  form.dataset.send = source.dataset.send;
  form.dataset.missing = JSON.stringify(missing);
  form.elements.suggestion.value = card.dataset.card;
  form.elements.seen.value = source.elements.seen.value;
  form.elements.files.value = source.elements.files?.value || "";
  form.dataset.files = source.dataset.files || "";
  form.elements.verdict.value = "";
  form.elements.text.value = card.dataset.words;
  one("#sheet-miss").hidden = !missing.length;
  one("#sheet-miss span").textContent = t("还没填：{names}", { names: card.dataset.missing });
  one("[data-go]", form).hidden =
    source.dataset.send === "copy" || (source.dataset.send === "jssdk" && !document.documentElement.matches(".sdk"));
  outlook(form);
  sheet.showModal();
  const area = form.elements.text;
  area.dispatchEvent(new CustomEvent("scrm:written", { bubbles: true }));
  const at = missing.length ? area.value.indexOf(missing[0]) : -1;
  area.focus();
  area.setSelectionRange(at < 0 ? area.value.length : at, at < 0 ? area.value.length : at + missing[0].length);
  return true;
}

/** Words that are no card's: the promised price, or what a check sent back. */
export function write(send, text) {
  const [sheet, form] = [one("#sheet"), one("#sheet form")];
  if (!sheet?.showModal) return false;
  form.action = send.action;
  form.dataset.send = send.via;
  form.dataset.missing = "[]";
  form.dataset.files = send.files?.length ? JSON.stringify(send.files) : "";
  for (const name of ["suggestion", "seen", "files"]) form.elements[name].value = send.body.get(name) || "";
  form.elements.verdict.value = "";
  form.elements.text.value = text;
  one("#sheet-miss").hidden = true;
  one("[data-go]", form).hidden = send.via === "copy";
  outlook(form);
  sheet.showModal();
  form.elements.text.focus();
  form.elements.text.dispatchEvent(new CustomEvent("scrm:written", { bubbles: true }));
  return true;
}

/** How it would go out, and a better time, as the page says it. */
function outlook(form) {
  const line = one("#line");
  const later = one("[data-later]", form);
  one("[data-line]", form).textContent = line?.textContent || "";
  later.value = line?.dataset.at || "";
  later.hidden = !later.value || form.dataset.send !== "api";
  later.textContent = later.dataset.later.replace("{when}", line?.dataset.when || "");
}

export function sheets() {
  on("click", "[data-edit]", (event, link) => {
    if (edit(link.closest("[data-card]"))) event.preventDefault();
  });
  on("click", "[data-close]", (_, button) => button.closest("dialog").close());
  on("click", "dialog", (event, dialog) => event.target === dialog && dialog.close());
}
