import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["client/tests/*.test.ts", "pages/*/tests/*.test.ts"], testTimeout: 10_000 } });
