// Makes /app/bin/server a link to the file that `npx PACKAGE` would run, by npm's own rule (libnpmexec,
// get-bin-from-manifest): the only command of the package, or the one that is called like the package without its scope.
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { resolve } from "node:path";

const manifest = (folder) => JSON.parse(readFileSync(resolve(folder, "package.json"), "utf8"));
const [name] = Object.keys(manifest("/app").dependencies ?? {});
const folder = resolve("/app/node_modules", name);
const { name: declared, bin } = manifest(folder);
const unscoped = declared.replace(/^@[^/]+\//, "");
const commands = typeof bin === "string" ? { [unscoped]: bin } : (bin ?? {});
const files = new Set(Object.values(commands));
const command = files.size === 1 ? Object.keys(commands)[0] : unscoped;
if (!commands[command]) {
  console.error(`${declared}: npx can't tell which command to run; the package offers: ${Object.keys(commands).join(", ") || "none"}`);
  process.exit(1);
}
mkdirSync("/app/bin", { recursive: true });
symlinkSync(resolve(folder, commands[command]), "/app/bin/server");
console.log(`${command}: ${resolve(folder, commands[command])}`);
