/** Builds the dashboard into dist/server/dashboard: a page, one script, one style sheet, nothing from elsewhere. */
import { defineConfig } from "vite";

export default defineConfig({
  root: "server/dashboard",
  base: "/",
  publicDir: false,
  build: {
    outDir: "../../dist/server/dashboard",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // The page's policy allows no data: but for images.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
