// What both pages start with.
import "htmx.org/dist/htmx.esm.js";
import { checking } from "./check.js";
import { clock } from "./clock.js";
import { seen } from "./collide.js";
import { draft } from "./draft.js";
import { family } from "./family.js";
import { feeds } from "./feed.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { copying } from "./page.js";
import { ringing } from "./ring.js";
import { sending } from "./send.js";
import { sheets } from "./sheet.js";
import { tabs } from "./tabs.js";
import { theme } from "./theme.js";
import { todo } from "./todo.js";
import { typing } from "./typing.js";

export function start() {
  document.documentElement.classList.add("on");
  for (const module of [copying, feeds, tabs, sheets, sending, keys, draft, theme, clock, live, typing, seen, ringing, family, todo, checking]) module();
}
