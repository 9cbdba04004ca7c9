// What the visitor has not looked at yet, and telling the other side when they have.
import { tell } from "./dom.js";

export function unread({ wire, keep, show, watching }) {
  let ids = new Set();

  function say() {
    show(ids.size);
    tell("unread", { count: ids.size });
  }

  const my = {
    /** Messages that came: those newer than the last one seen count. */
    count(items) {
      const seen = keep.get("seen") || "";
      const theirs = items.filter((item) => !item.mine);
      for (const item of theirs) if (item.at > seen) ids.add(item.id);
      my.last = theirs.length ? theirs[theirs.length - 1].at : my.last;
      if (ids.size && watching()) my.read();
      else say();
    },
    read() {
      if (ids.size) {
        keep.set("seen", my.last);
        wire.ask("POST", "read").catch(() => {});
      }
      my.clear();
    },
    clear() {
      ids = new Set();
      say();
    },
  };
  return my;
}
