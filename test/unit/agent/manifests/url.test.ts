import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GetAnswer, GetRequest } from '../../../../agent/manifests/http.ts';
import { UrlSource } from '../../../../agent/manifests/url.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { TsorchError } from '../../../../model/errors.ts';

const web = (image = 'app:1') => `services: {web: {image: '${image}'}}\n`;
let clock: FakeClock;
let over: AbortController;
let requests: GetRequest[];
let answer: (request: GetRequest) => GetAnswer | Error;

beforeEach(() => {
  clock = new FakeClock();
  over = new AbortController();
  requests = [];
});
afterEach(() => over.abort());

function open(url = 'https://user:secret@config.example.com/edge.yml?token=hush'): UrlSource {
  return new UrlSource({
    url, headers: { authorization: 'Bearer x' }, intervalMs: 20_000, env: {}, clock, log: silentLog, signal: over.signal, random: () => 0.5,
    get: async (request) => {
      requests.push(request);
      const given = answer(request);
      if (given instanceof Error) throw given;
      return given;
    },
  });
}

/** Lets it do its work until it sleeps. */
async function rest(): Promise<void> {
  const end = performance.now() + 10_000;
  while (clock.sleeping === 0) {
    if (performance.now() > end) throw new Error('it does not rest');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function turn(ms: number): Promise<void> {
  await clock.advance(ms);
  await rest();
}

const ok = (body: string, headers: Record<string, string> = {}): GetAnswer => ({ status: 200, headers, body });
const images = (source: UrlSource) => source.content?.entries?.flatMap((entry) => ('specs' in entry ? entry.specs.map((spec) => `${spec.name}=${spec.services['web']?.template.containers[0]?.image}`) : [entry.problem]));

test('is asked now and then, and asked whether anything has changed', async () => {
  answer = () => ok(web(), { etag: '"1"', 'last-modified': 'Mon' });
  const source = open();
  let changes = 0;
  source.onChange(() => changes++);
  await rest();
  expect(images(source)).toEqual(['edge=app:1']);
  expect(requests[0]?.headers).toMatchObject({ authorization: 'Bearer x' });
  expect(requests[0]?.headers).not.toHaveProperty('if-none-match');
  answer = () => ({ status: 304, headers: {}, body: '' });
  await turn(20_000);
  expect(requests[1]?.headers).toMatchObject({ 'if-none-match': '"1"', 'if-modified-since': 'Mon' });
  answer = () => ok(web());
  await turn(20_000);
  expect(changes).toBe(1);
  answer = () => ok(web('app:2'));
  await turn(20_000);
  expect(images(source)).toEqual(['edge=app:2']);
  expect(changes).toBe(2);
});

test('neither user nor query is told to anybody', async () => {
  answer = () => new TsorchError('unavailable', 'cannot reach https://user:secret@config.example.com/edge.yml?token=hush: refused');
  const source = open();
  await rest();
  expect(source.name).toBe('https://config.example.com/edge.yml');
  expect(JSON.stringify(source.content)).not.toMatch(/secret|hush/);
});

test.each<[string, () => GetAnswer | Error, RegExp]>([
  ['nobody answers', () => new TsorchError('unavailable', 'refused'), /edge\.yml: refused/],
  ['an error is answered', () => ({ status: 500, headers: {}, body: 'oops' }), /it answers with status 500/],
  ['it is not found', () => ({ status: 404, headers: {}, body: '' }), /status 404/],
  ['nothing is said', () => ok('  \n'), /its answer is empty; answer \{\} to end all pods/],
])('when %s, everything stays and the reason is said', async (_, failure, why) => {
  answer = () => ok(web());
  const source = open();
  await rest();
  answer = failure;
  await turn(20_000);
  expect(images(source)).toEqual(['edge=app:1']);
  expect(source.content?.problem).toMatch(why);
  answer = () => ok(web());
  await turn(20_000);
  expect(source.content).not.toHaveProperty('problem');
});

test('out of reach from the beginning, nothing is known of it', async () => {
  answer = () => new TsorchError('unavailable', 'refused');
  const source = open();
  await rest();
  expect(source.content).toMatchObject({ entries: null, problem: expect.stringContaining('refused') });
});

test('a failing server is asked again soon, then less and less often', async () => {
  answer = () => new TsorchError('unavailable', 'refused');
  open();
  await rest();
  const counts: number[] = [];
  for (let i = 0; i < 6; i++) {
    const before = requests.length;
    await turn(10_000);
    counts.push(requests.length - before);
  }
  expect(counts[0]).toBeGreaterThanOrEqual(3);
  expect(counts.at(-1)).toBeLessThanOrEqual(1);
});

test('several documents are several stacks; a mistake in one leaves all of them', async () => {
  answer = () => ok(`name: a\n${web('a')}---\nname: b\n${web('b')}`);
  const source = open();
  await rest();
  expect(images(source)).toEqual(['a=a', 'b=b']);
  answer = () => ok(`name: a\n${web('a2')}---\nname: b\nservices: {web: {imagee: b}}\n`);
  await turn(20_000);
  expect(source.content?.entries).toEqual([{ origin: source.name, problem: expect.stringMatching(/edge\.yml:5:\d+: error: services\.web\.imagee/) }]);
});

test.each(['{}', '# nothing\n---\n{ }\n', '# nothing\n'])('%j ends its pods', async (body) => {
  answer = () => ok(body);
  const source = open();
  await rest();
  expect(source.content).toEqual({ source: source.name, entries: [{ origin: source.name, specs: [], warnings: [] }] });
});

test('files that it names are not read from this host', async () => {
  answer = () => ok('services: {web: {image: a, env_file: /etc/passwd}}\n');
  const source = open();
  await rest();
  expect(images(source)?.[0]).toMatch(/edge\.yml:1:\d+: error: .*\/etc\/passwd/);
});

test.each(['ftp://x/y', 'edge.yml', ''])('%j is no URL for it', (url) => {
  expect(() => open(url)).toThrow(/is no URL for manifests/);
});
