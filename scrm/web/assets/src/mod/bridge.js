// How a text gets into the chat app: `mock` for demonstrations, else the clipboard; wecom.js is the real one.
// A bridge is {kind, context() -> external user id, send(text), file({form, media})}; all may reject with {why}.

const never = () => Promise.reject({ why: "" });
export const bridge = { kind: "copy", context: () => Promise.resolve(""), send: never, file: never };

/** Give up waiting after `ms`; the promise itself goes on. */
export const within = (promise, ms) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject({ timeout: true }), ms))]);

export const mock = (boot) =>
  boot?.mock_userid && {
    kind: "mock",
    context: () => Promise.resolve(boot.mock_userid),
    send: () => Promise.resolve(),
    file: () => Promise.resolve(),
  };

/** Take the first that applies; the cards offer 发送 where there is an SDK and 复制 elsewhere. */
export function connect(...candidates) {
  Object.assign(bridge, candidates.find(Boolean));
  document.documentElement.classList.toggle("sdk", bridge.kind !== "copy");
}
