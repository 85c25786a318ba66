import { afterAll, beforeAll, expect, test } from 'vitest';
import { stacks } from './fixtures.ts';
import { FakeMaster, runCli, transcript } from './harness.ts';

const master = new FakeMaster();

beforeAll(async () => {
  master
    .on('GET /v1/stacks', stacks)
    .fail('GET /v1/pods', 404, { code: 'not-found', message: 'there is no stack, service or pod nope', hint: 'see tsorch ps' })
    .fail('GET /v1/nodes', 403, { code: 'forbidden', message: 'viewers may not list nodes' })
    .fail('POST /v1/services/voting_vote/scale', 400, { code: 'invalid', message: 'voting_vote is global and has one pod per node' })
    .fail('PATCH /v1/nodes/node-1', 503, { code: 'unavailable', message: 'this master does not lead', hint: 'try again in a second' })
    .fail('DELETE /v1/volumes/data', 409, { code: 'conflict', message: 'volume data is in use by voting_db' });
  await master.start();
});

afterAll(() => master.stop());

/** Every way to go wrong: what is said on one line, and the exit code. */
const cases: readonly (readonly [name: string, argv: readonly string[], code: number])[] = [
  ['unknown-command', ['pss'], 2],
  ['unknown-subcommand', ['node', 'lable', 'a', 'b=c'], 2],
  ['unknown-option', ['ps', '--al'], 2],
  ['missing-argument', ['logs'], 2],
  ['extra-argument', ['nodes', 'what'], 2],
  ['bad-format', ['ps', '--format', 'xml'], 2],
  ['bad-scale', ['scale', 'voting_vote'], 2],
  ['bad-label', ['node', 'label', 'node-1', 'zone'], 2],
  ['bad-duration', ['apply', '--timeout', 'soon'], 2],
  ['bad-since', ['logs', 'voting', '--since', 'yesterday'], 2],
  ['bad-kind', ['inspect', 'thing/x'], 2],
  ['bad-nodes', ['up', '--nodes', '0'], 2],
  ['login-nothing', ['login', '10.0.0.5'], 2],
  ['login-bad-token', ['login', '10.0.0.5', '--token', 'tsorch1-admin-cut'], 3],
  ['login-host-token', ['login', '10.0.0.5', '--token', `tsorch1-node-aaaaaaaa-${'0'.repeat(32)}-${'0'.repeat(64)}`], 3],
  ['exec-nothing', ['exec', 'voting_vote', '--'], 2],
  ['no-stack-file', ['config'], 4],
  ['missing-file', ['config', '-f', 'no.yml'], 4],
  ['missing-image', ['image', 'load', 'no.tar'], 4],
  ['not-found', ['ps', 'nope'], 4],
  ['forbidden', ['nodes'], 7],
  ['invalid', ['scale', 'voting_vote=3'], 3],
  ['unavailable', ['node', 'drain', 'node-1'], 6],
  ['conflict', ['volume', 'rm', 'data'], 1],
];

test.each(cases)('%s', async (name, argv, code) => {
  const result = await runCli(argv, { master });
  expect(result.code).toBe(code);
  expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
  await expect(transcript(argv, result)).toMatchFileSnapshot(`./expected/error-${name}.txt`);
});

test('no master configured', async () => {
  const result = await runCli(['ps']);
  expect(result.code).toBe(6);
  await expect(transcript(['ps'], result)).toMatchFileSnapshot('./expected/error-no-master.txt');
});

test('nobody listens', async () => {
  const gone = await new FakeMaster().start();
  const { url } = gone;
  await gone.stop();
  const result = await runCli(['ps'], { master: url });
  expect(result.code).toBe(6);
  expect(result.stderr).toBe(`error: cannot reach the master at ${url}: connection refused; is it running? \`tsorch up\` starts a local cluster; --master URL names another\n`);
});

test('something else listens', async () => {
  const other = await new FakeMaster().on('GET /v1/stacks', (_request: unknown, response: { end(text: string): void }) => response.end('<html>hello</html>')).start();
  try {
    const result = await runCli(['ls'], { master: other });
    expect(result).toMatchObject({ code: 1, stderr: `error: ${other.url}/v1/stacks did not answer JSON; is this a tsorch master?\n` });
  } finally {
    await other.stop();
  }
});

test('--debug shows where from', async () => {
  const plain = await runCli(['volume', 'rm', 'data'], { master });
  const debug = await runCli(['volume', 'rm', 'data', '--debug'], { master });
  expect(plain.stderr).not.toContain('    at ');
  expect(debug.stderr).toContain('    at ');
});
