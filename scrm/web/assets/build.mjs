// Bundles the scripts and styles into ../static/dist: hashed names, .gz and .br beside them, manifest.json last.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = resolve(here, "../static/dist");
const entries = ["src/sidebar.js", "src/console.js", "src/webchat.js", "css/sidebar.css", "css/console.css", "src/icon.svg"];

const target = ["chrome87", "safari15"]; // the oldest WebViews seen inside WeCom are newer

// The embedded chat puts its sheet into its own root, so the sheet travels inside the script.
const chatSheet = await readFile(join(here, "css/webchat.css"), "utf8");
const { code: chatCss } = await transform(chatSheet, { loader: "css", minify: true, target });

const { metafile, outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: entries,
  define: { CHAT_CSS: JSON.stringify(chatCss) },
  loader: { ".svg": "copy" },
  entryNames: "[name]-[hash]",
  outdir: dist,
  bundle: true,
  minify: true,
  format: "iife",
  target,
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
});

// What is bundled keeps its licence beside it.
async function licences() {
  const { dependencies } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
  const texts = await Promise.all(
    Object.entries(dependencies).map(async ([name, version]) => {
      const folder = join(here, "node_modules", name);
      const { license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
      const file = (await readdir(folder)).find((f) => /^licen[cs]e/i.test(f));
      const text = file ? await readFile(join(folder, file), "utf8") : "";
      return `${name} ${version} (${license})\n\n${text}`;
    }),
  );
  return texts.join("\n\n----\n\n");
}

// What each module of ours weighs by itself, for the test that keeps them small.
async function weights() {
  const files = (await readdir(join(here, "src"), { recursive: true })).filter((file) => file.endsWith(".js"));
  const weigh = async (file) => {
    const { code } = await transform(await readFile(join(here, "src", file), "utf8"), { minify: true, target });
    return [file.replaceAll("\\", "/"), gzipSync(code, { level: 9 }).length];
  };
  return Object.fromEntries(await Promise.all(files.sort().map(weigh)));
}

const names = Object.fromEntries(
  Object.entries(metafile.outputs).map(([path, { entryPoint }]) => [basename(entryPoint), basename(path)]),
);
const [licenceText, sizes] = await Promise.all([licences(), weights()]);
await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
for (const { path, contents } of outputFiles) {
  await writeFile(path, contents);
  await writeFile(`${path}.gz`, gzipSync(contents, { level: 9 }));
  await writeFile(`${path}.br`, brotliCompressSync(contents));
}
await writeFile(join(dist, "LICENSES.txt"), licenceText);
await writeFile(join(dist, "sizes.json"), JSON.stringify(sizes, null, 1) + "\n");
await writeFile(join(dist, "manifest.json"), JSON.stringify(names, null, 1) + "\n");
