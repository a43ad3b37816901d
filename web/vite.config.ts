import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Relative addresses, so that the page works under any path a proxy gives it.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/tailrace/page",
    emptyOutDir: true,
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:7800" },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
