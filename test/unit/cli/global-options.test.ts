/** `--master` and its like mean the same before and after the command. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeMaster, runCli } from '../../golden/cli/harness.ts';

let asked: FakeMaster;
let other: FakeMaster;

beforeEach(async () => {
  [asked, other] = await Promise.all([new FakeMaster().on('GET /v1/nodes', []).start(), new FakeMaster().on('GET /v1/nodes', []).start()]);
});

afterEach(async () => {
  await Promise.all([asked.stop(), other.stop()]);
});

test.each([
  ['before', () => ['--master', asked.url, 'nodes']],
  ['after', () => ['nodes', '--master', asked.url]],
  ['after, against one before', () => ['--master', other.url, 'nodes', '--master', asked.url]],
])('the master named %s the command is the one that is asked', async (_where, argv) => {
  expect((await runCli(argv(), { master: other })).code).toBe(0);
  expect(asked.requests.map(({ url }) => url)).toEqual(['/v1/nodes']);
  expect(other.requests).toEqual([]);
});

test('a context named before the command is looked for', async () => {
  const { code, stderr } = await runCli(['--context', 'nowhere', 'nodes'], { master: other });
  expect(code).toBe(4);
  expect(stderr).toContain('no context named nowhere');
  expect(other.requests).toEqual([]);
});
