import { expect, test } from 'vitest';
import { countTests } from '../../../deploy/test-count.ts';

const file = (status: string, ...tests: readonly string[]) => ({ status, assertionResults: tests.map((each) => ({ status: each })) });

test.each([
  ['all is well', [file('passed', 'passed', 'passed'), file('passed', 'passed', 'skipped')], 0, { passed: 3, failed: 0, skipped: 1 }],
  ['a test failed', [file('failed', 'passed', 'failed')], 1, { passed: 1, failed: 1, skipped: 0 }],
  ['a file could not be loaded', [file('passed', 'passed'), file('failed')], 1, { passed: 1, failed: 1, skipped: 0 }],
  ['a hook failed after its tests passed', [file('failed', 'passed', 'pending')], 1, { passed: 1, failed: 1, skipped: 1 }],
  ['an error outside any test', [file('passed', 'passed')], 1, { passed: 1, failed: 1, skipped: 0 }],
])('%s', (_name, testResults, code, expected) => {
  expect(countTests({ testResults }, code)).toEqual(expected);
});

test('no report', () => {
  expect(countTests(null, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
