/**
 * Bundles the package: one file for each thing that is started or imported, and in dist/chunks what several of them share. Loading the 600
 * modules that they are made of one by one, Node.js takes a quarter longer to start a server or an executor. Dependencies stay what they are.
 * The modules themselves, by tsc, are in dist/modules: for their types, and for what tests and bench run from inside of the package.
 */
import { rmSync } from "node:fs";
import { relative } from "node:path";
import { defineConfig } from "vite";

const entries = [
  "client/index",
  "client/cli/main",
  "client/examples/demo",
  "client/examples/mnist",
  "client/examples/saxpy",
  "server/main",
  "server/executor/main",
  "server/health/main",
  "server/device/cpu/run/worker",
  // Not in the package: `npm run check:gpu`, and what it starts.
  "test/gpu/check",
  "test/gpu/job",
  "test/gpu/record",
  "test/gpu/worker",
];

/** A chunk is called by the last of its modules, to which the others are what it needs; the bundler's own as it calls them. */
const nameOf = ({ name, moduleIds }: { readonly name: string; readonly moduleIds: readonly string[] }): string => {
  const module = moduleIds.at(-1);
  return module?.endsWith(".ts") === true ? relative(".", module.slice(0, -3)).replaceAll("/", "-") : name;
};

export default defineConfig({
  publicDir: false,
  build: {
    ssr: true,
    target: "node20",
    outDir: "dist",
    emptyOutDir: false,
    rolldownOptions: {
      input: Object.fromEntries(entries.map((entry) => [entry, `${entry}.ts`])),
      output: { entryFileNames: "[name].js", chunkFileNames: (chunk) => `chunks/${nameOf(chunk)}.js` },
    },
  },
  plugins: [
    { name: "no chunks of earlier builds", buildStart: () => rmSync("dist/chunks", { recursive: true, force: true }) },
  ],
});
