import { defineConfig } from 'vitest/config';

// unit: pure and fast, in parallel. contract: one suite per port, on the fake and the real thing. cluster: real hosts in
// network namespaces. Of these two one file at a time each, because two cores carry them all. `npm test` has two vitests run side
// by side, which must not share a file of results.
export default defineConfig({
  test: {
    cache: false,
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/golden/**/*.test.ts'], pool: 'threads', testTimeout: 60_000 } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], pool: 'forks', fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 } },
      { test: { name: 'cluster', include: ['test/cluster/**/*.test.ts'], pool: 'forks', fileParallelism: false, testTimeout: 180_000, hookTimeout: 300_000 } },
    ],
  },
});
