// What survives a reload, under the page's own origin; in memory where storage is switched off.
export function keeper(account) {
  const prefix = `scrm:${account}:`;
  const spare = new Map();
  const store = (run) => {
    try {
      return run(localStorage);
    } catch {
      return undefined;
    }
  };
  return {
    get(name) {
      const text = store((box) => box.getItem(prefix + name)) ?? spare.get(name);
      try {
        return JSON.parse(text);
      } catch {
        return null;
      }
    },
    set(name, value) {
      const text = JSON.stringify(value);
      spare.set(name, text);
      store((box) => box.setItem(prefix + name, text));
    },
    forget() {
      spare.clear();
      for (const name of ["token", "queue", "talked", "seen"]) store((box) => box.removeItem(prefix + name));
    },
  };
}
