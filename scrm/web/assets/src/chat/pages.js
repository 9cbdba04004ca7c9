// The talk so far, page by page: the newest whenever something changed, older ones when asked for.
export function pages({ wire, log, ui, arrived }) {
  let before = "";
  let busy = false;
  let again = false;

  const history = async (place) => (await wire.ask("GET", `history?before=${encodeURIComponent(place)}`)).json();

  function more(page) {
    before = page.before;
    ui.older(before);
  }

  /** Back from the newest until it meets what is known: nothing is missed, however long the line was cut. */
  async function latest() {
    let page = await history("");
    const found = [page];
    const first = !log.list.children.length || !before;
    for (let n = 0; n < 10 && !first && page.before && !page.items.some(log.has); n += 1) {
      page = await history(page.before);
      found.unshift(page);
    }
    if (first) more(page);
    const items = found.flatMap((one) => one.items);
    const { read_at, site } = found[found.length - 1];
    log.merge(items, { read_at });
    arrived(items, site);
  }

  const my = {
    /** One at a time, and one more when asked meanwhile. */
    async load() {
      again = busy;
      if (busy) return;
      busy = true;
      await latest().catch(() => {});
      busy = false;
      if (again) my.load();
    },
    async older() {
      const page = await history(before).catch(() => null);
      if (!page) return;
      more(page);
      log.merge(page.items, { older: true });
    },
    clear() {
      log.clear();
      before = "";
      ui.older("");
    },
  };
  return my;
}
