// Files both ways: up with progress, down as a blob, because a link could carry no token.
import { el } from "./dom.js";
import { Refused } from "./wire.js";

/** `XMLHttpRequest`, because `fetch` does not say how far an upload is. */
export async function upload(wire, file, key, progress) {
  const auth = await wire.auth();
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${wire.base}files`);
    const headers = {
      ...auth,
      "Accept-Language": wire.lang,
      "Content-Type": "application/octet-stream",
      "Idempotency-Key": key,
      "X-Upload-Name": encodeURIComponent(file.name.slice(-80)),
    };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.timeout = 120000;
    request.upload.onprogress = ({ loaded, total }) => progress(Math.round((100 * loaded) / total));
    request.onload = () => {
      if (request.status < 300) return done(JSON.parse(request.responseText));
      let detail = "";
      try {
        ({ detail } = JSON.parse(request.responseText));
      } catch {
        // not an answer of ours
      }
      fail(new Refused(request.status, detail));
    };
    request.onerror = request.ontimeout = () => fail(new Error(""));
    request.send(file);
  });
}

async function blob(wire, file, type) {
  const answer = await wire.ask("GET", `files/${encodeURIComponent(file.id)}`);
  return URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type }));
}

/** What a browser only ever paints: a blob opens under the site's own origin, so nothing else may. */
const PAINTED = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** A picture appears when it has come; its type was decided by its bytes, on the server. */
export function picture(wire, file) {
  const image = el("img", { alt: file.name });
  const link = el("a", { class: "pic", target: "_blank", rel: "noopener" }, image);
  blob(wire, file, PAINTED.includes(file.mime) ? file.mime : "application/octet-stream")
    .then((url) => {
      image.src = url;
      link.href = url;
    })
    .catch(() => link.replaceWith(el("span", {}, file.name)));
  return link;
}

/** Saved, never opened here, whatever it is. */
export async function save(wire, file) {
  const href = await blob(wire, file, "application/octet-stream");
  el("a", { href, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}
