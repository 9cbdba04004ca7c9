// Words on their way: kept until the server has them, sent again with the same key, so that a repeat is harmless.
const LONGEST_MS = 30000;
const CAP = 50;

/** `mark(key, state, why)` shows what became of each: sending, waiting, sent, failed. */
export function queue({ wire, keep, mark }) {
  let running = false;
  let tries = 0;
  let timer;

  const list = () => keep.get("queue") || [];
  const drop = (key) => keep.set("queue", list().filter((one) => one.key !== key));

  async function flush() {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try {
      // One after the other: what was said first arrives first.
      for (let one = list()[0]; one; one = list()[0]) {
        mark(one, "sending");
        try {
          await wire.ask("POST", "messages", { body: { text: one.text }, headers: { "Idempotency-Key": one.key } });
          mark(one, "sent");
        } catch (error) {
          if (!error.status || error.passing) throw error;
          mark(one, "failed", error.message);
        }
        tries = 0;
        drop(one.key);
      }
    } catch {
      for (const one of list()) mark(one, "waiting");
      timer = setTimeout(flush, Math.min(LONGEST_MS, 1000 * 2 ** tries++) * (0.7 + Math.random() * 0.6));
    } finally {
      running = false;
    }
  }

  addEventListener("online", flush);
  return {
    flush,
    list,
    say(one) {
      keep.set("queue", [...list(), one].slice(-CAP));
      return flush();
    },
  };
}
