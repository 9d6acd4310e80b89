/** The built dashboard as routes: every file by its exact name, read once, so that no path of a request ever reaches the disk. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { packageFile } from "../package-files.ts";
import { answer } from "./exchange.ts";
import type { Route } from "./http-server.ts";

const folder = fileURLToPath(packageFile("dist/server/dashboard/"));

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const missing = `<!doctype html><title>Sluice</title><p>The dashboard is not built. Run <code>npm run build</code>, then reload.`;

/** `/` is index.html. Names under assets/ carry a hash, so browsers keep them. */
export function staticRoutes(): Route[] {
  const files = listFiles();
  if (!files.includes("index.html")) return [pageRoute("/", Buffer.from(missing), "html")];
  return files.map((name) => {
    const extension = name.split(".").at(-1)!;
    return pageRoute(name === "index.html" ? "/" : `/${name}`, readFileSync(join(folder, name)), extension);
  });
}

function pageRoute(path: string, bytes: Buffer, extension: string): Route {
  const headers = {
    "content-type": types[extension]!,
    "cache-control": path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
  };
  return { method: "GET", path, access: "page", handle: ({ response }) => answer(response, bytes, { headers }) };
}

function listFiles(): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && types[entry.name.split(".").at(-1)!] !== undefined)
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  } catch {
    return []; // It is not built.
  }
}
