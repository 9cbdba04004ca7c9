// The stream by `fetch`, because `EventSource` can carry no token but in its address.
const SILENT_MS = 40000;
const LONGEST_MS = 30000;

const pause = (ms, signal) =>
  new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      done();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });

async function read(wire, hear, signal) {
  const stop = new AbortController();
  const end = () => stop.abort();
  signal.addEventListener("abort", end);
  // A dead network is not noticed by waiting for bytes.
  addEventListener("offline", end);
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(end, SILENT_MS);
  };
  try {
    const answer = await wire.ask("GET", "stream", { signal: stop.signal, patience: 0 });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (heard(); ; heard()) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) hear(/^event: (\w+)/.exec(part)?.[1]);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    removeEventListener("offline", end);
  }
}

/** Until `signal` ends it: `hear` gets fresh, change, typing, beat, and `lost` each time the line breaks. */
export async function follow(wire, hear, signal) {
  for (let tries = 0; !signal.aborted; tries += 1) {
    const began = performance.now();
    await read(wire, hear, signal).catch(() => {});
    if (signal.aborted) return;
    if (performance.now() - began > SILENT_MS) tries = 0;
    else hear("lost");
    await pause(Math.min(LONGEST_MS, 500 * 2 ** tries) * (0.7 + Math.random() * 0.6), signal);
  }
}
