// The choice of theme shows before it is saved.
import { on } from "./page.js";

export function theme() {
  on("change", "[name=theme]", (_, { value }) => {
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  });
}
