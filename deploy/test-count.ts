/** Counts a vitest JSON report so that nothing that went wrong is missing from it. */

/** The parts of the report that count. */
export interface VitestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * A file that could not even be loaded has no tests, and counts as one failed. When vitest itself failed for a reason that no
 * test shows (an error outside any, no report at all), that is one failed too.
 */
export function countTests(report: VitestReport | null, exitCode: number): TestCount {
  const files = report?.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults);
  const passed = tests.filter((test) => test.status === 'passed').length;
  const failedTests = tests.filter((test) => test.status === 'failed').length;
  const failedFiles = files.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')).length;
  const failed = failedTests + failedFiles;
  return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed, skipped: tests.length - passed - failedTests };
}
