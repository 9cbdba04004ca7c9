// Every request: to one address, with the visitor's token, never with cookies.
const PATIENCE_MS = 20000;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Trying the same again may help. */
  get passing() {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

export function wire({ base, lang, keep }) {
  let opening = null;

  async function call(method, path, { body, headers = {}, signal, patience = PATIENCE_MS } = {}) {
    const stop = new AbortController();
    const timer = patience && setTimeout(() => stop.abort(), patience);
    signal?.addEventListener("abort", () => stop.abort());
    try {
      const answer = await fetch(base + path, {
        method,
        body: body && JSON.stringify(body),
        headers: { "Accept-Language": lang, ...(body && { "Content-Type": "application/json" }), ...headers },
        credentials: "omit",
        cache: "no-store",
        signal: stop.signal,
      });
      if (answer.ok) return answer;
      const { detail = "" } = await answer.json().catch(() => ({}));
      throw new Refused(answer.status, detail);
    } finally {
      clearTimeout(timer);
    }
  }

  async function begin() {
    const answer = await (await call("POST", "session", { body: { token: keep.get("token") || "" } })).json();
    keep.set("token", answer.token);
    return answer;
  }

  const my = {
    /** Who we are here and what the site is like; asked once a page. */
    open() {
      opening ||= begin().catch((error) => {
        opening = null;
        throw error;
      });
      return opening;
    },
    async auth() {
      await my.open();
      return { Authorization: `Bearer ${keep.get("token")}` };
    },
    async ask(method, path, more = {}) {
      const again = { ...more, headers: { ...more.headers, ...(await my.auth()) } };
      try {
        return await call(method, path, again);
      } catch (error) {
        if (error.status !== 401) throw error;
        // Too old, or made by another server: begin anew, once.
        opening = null;
        return call(method, path, { ...more, headers: { ...more.headers, ...(await my.auth()) } });
      }
    },
    reset() {
      opening = null;
    },
    base,
    lang,
  };
  return my;
}
