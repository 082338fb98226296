import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The front door serves it under /assay/; while working on it, `npx vite` passes everything else on to a running `assay serve`.
const door = process.env.ASSAY_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/assay/",
  plugins: [react()],
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the page's CSP allows no data: scripts, and small files are cheap to ask for
  },
  server: { proxy: { "^/(?!assay/)": door, "/assay/quality": door } },
});
