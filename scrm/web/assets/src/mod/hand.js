// A message through the chat app's own SDK, and the files of a script after it.
import { bridge, within } from "./bridge.js";
import { vetted } from "./check.js";
import { pend, say } from "./outgoing.js";
import { t } from "./page.js";
import { record } from "./post.js";

const PATIENCE_MS = 10000;

/** Through the chat app's SDK: it says ok or fail, sometimes late, sometimes never. */
export async function hand(send, again) {
  try {
    if (!(await vetted(send, again))) return;
  } catch {
    return say(send, t("没有发出去：{why}", { why: t("网络不通") }), { copy: true, retry: again });
  }
  if (await given(send, again, send.file ? bridge.file(send.file) : bridge.send(send.text))) await follow(send, again);
}

/** Whether the app said ok; what it said is recorded. */
async function given(send, again, sent) {
  try {
    await within(sent, PATIENCE_MS);
    await record(send, "ok", again);
    return true;
  } catch (error) {
    const more = send.files?.length ? { retry: again } : {};
    if (!error?.timeout) say(send, t("企业微信没有让发送：{why}", { why: error?.why || "" }), { copy: true, ...more });
    else {
      say(send, t("可能已发送：10 秒没有回音，请看聊天窗口"), { copy: true });
      await record(send, "unknown", again);
      sent.then(() => record(send, "ok", again)).catch(() => {});
    }
    return false;
  }
}

/** The next file, once what stood before it is out; each is a message of its own with a key of the family. */
async function follow(send, again) {
  const [file, ...files] = send.files || [];
  if (!file) return;
  const body = new FormData();
  const next = { ...send, key: `${send.root}-${file.n}`, text: file.name, file, files, allowed: true, body };
  for (const [name, value] of [["key", next.key], ["text", ""], ["files", file.id]]) body.set(name, value);
  pend(next);
  await hand(next, again);
}
