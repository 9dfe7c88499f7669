// Builds web/dist: `npm run build`, or `node build.mjs DIRECTORY` to build elsewhere. The same sources give the same bytes.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const web = import.meta.dirname;
const out = path.resolve(process.argv[2] ?? path.join(web, "dist"));

const budgets = { "troupe.js": 8 * 1024 }; // bytes, compressed: what an application pays for the client
const total_max = 350 * 1024;

const types = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

/** The client is a file of its own, so that the pages share it and others can use it. */
const sharedClient = {
  name: "shared-client",
  setup: ({ onResolve }) => onResolve({ filter: /\/client\/troupe$/ }, () => ({ path: "/troupe.js", external: true })),
};

const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  absWorkingDir: web,
  logLevel: "warning",
};

async function buildAll() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await build({ ...common, entryPoints: ["client/troupe.ts"], outfile: path.join(out, "troupe.js") });
  await build({
    ...common,
    entryPoints: ["pages/location/location.ts", "pages/chat/chat.ts", "pages/groups/groups.ts", "pages/groups/worker.ts"],
    outbase: "pages",
    outdir: out,
    plugins: [sharedClient],
  });
  await build({
    ...common,
    entryPoints: ["pages/common.css", "pages/location/location.css", "pages/chat/chat.css", "pages/groups/groups.css"],
    outbase: "pages",
    outdir: out,
  });
  for (const file of readdirSync(path.join(web, "pages"), { recursive: true })) {
    if (/\.(html|svg)$/.test(file)) cpSync(path.join(web, "pages", file), path.join(out, file));
  }
  writeFileSync(
    path.join(out, "location", "map.json"),
    `${JSON.stringify(JSON.parse(readFileSync(path.join(web, "data", "map.json"))))}\n`,
  );
  cpSync(path.join(web, "data", "ATTRIBUTION.md"), path.join(out, "attribution.txt"));
}

/** `manifest.txt`: a line "PATH TYPE" for each file; `a/index.html` is what `/a/` answers with. */
function writeManifest() {
  const files = readdirSync(out, { recursive: true })
    .map((file) => file.replaceAll(path.sep, "/"))
    .filter((file) => statSync(path.join(out, file)).isFile())
    .sort();
  const lines = files.map((file) => {
    const type = types[path.extname(file)];
    if (!type) throw new Error(`${file}: no content type is known for it`);
    return `${file} ${type}\n`;
  });
  writeFileSync(path.join(out, "manifest.txt"), lines.join(""));
  return files;
}

function holdBudgets(files) {
  let total = 0;
  for (const file of files) {
    const bytes = readFileSync(path.join(out, file));
    const compressed = gzipSync(bytes, { level: 9 }).length;
    total += bytes.length;
    console.log(`${String(bytes.length).padStart(7)} ${String(compressed).padStart(7)} gz  ${file}`);
    if (compressed > (budgets[file] ?? Infinity))
      throw new Error(`${file}: ${compressed} bytes compressed, at most ${budgets[file]}`);
  }
  console.log(`${String(total).padStart(7)} bytes in ${files.length} files`);
  if (total > total_max) throw new Error(`${total} bytes in all, at most ${total_max}`);
}

await buildAll();
holdBudgets(writeManifest());
