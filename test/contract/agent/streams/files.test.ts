/** Files out of and into containers of a real containerd, by the tar streams that `tsorch cp` is made of. */
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { extract, type Header } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ArchiveResult, FileStat } from '../../../../model/api.ts';
import { tar } from '../runtime/busybox.ts';
import { until } from '../session/host.ts';
import { collect } from '../session/master.ts';
import { bytesOf, type Kind, StreamLab, write } from './lab.ts';

let lab: StreamLab;
/** A file of this host that containers must not reach. */
let outside: string;

beforeAll(async () => {
  lab = await StreamLab.start('files');
  outside = path.join(lab.host.base, 'outside');
  await fs.writeFile(outside, 'of the host');
  await lab.run('p', ['sh', '-c', [
    'mkdir -p /data/sub/deep /data/empty', 'echo hello > /data/f', 'echo deep > /data/sub/deep/g', 'chmod 640 /data/f', 'chown 1234:2345 /data/f', 'chmod 4711 /data/sub/deep/g', 'chmod 1777 /data/empty',
    'busybox ln -s f /data/link', 'busybox ln -s /etc /data/absolute', 'busybox ln -s ../../../../../../../../etc/passwd /data/climbing', `busybox ln -s ${outside} /data/host`, 'busybox ln -s loop /data/loop', 'busybox ln /data/f /data/hard',
    'echo > /tmp/made; exec sleep 1000',
  ].join('; ')]);
  // It runs before it has made all that.
  await until(async () => (await lab.shell('p', 'test -e /tmp/made && echo yes; true')) === 'yes\n');
});
afterAll(() => lab?.close());

interface Entry {
  readonly header: Header;
  readonly text: string;
}

async function untar(archive: Buffer): Promise<Map<string, Entry>> {
  const stream = extract();
  stream.end(archive);
  const entries = new Map<string, Entry>();
  for await (const entry of stream) {
    const parts: Buffer[] = [];
    for await (const part of entry as unknown as AsyncIterable<Buffer>) parts.push(part);
    entries.set(entry.header.name.replace(/(.)\/$/, '$1'), { header: entry.header, text: Buffer.concat(parts).toString() });
  }
  return entries;
}

const ask = async (kind: string, path: string, over: object = {}) => collect(await lab.master.open(kind, { podId: 'p', path, ...over }));
const failure = (frames: readonly Kind[]) => (frames.at(-1)?.$case === 'error' ? (frames.at(-1) as Extract<Kind, { $case: 'error' }>).value : undefined);

async function stat(path: string, over: object = {}): Promise<FileStat> {
  const [first] = await ask('archive-stat', path, over);
  if (first?.$case !== 'message') throw new Error(JSON.stringify(first));
  return JSON.parse(first.value) as FileStat;
}

async function get(path: string, over: object = {}): Promise<Map<string, Entry>> {
  const frames = await ask('archive-get', path, over);
  expect(failure(frames)).toBeUndefined();
  return untar(bytesOf(frames, 'stdout'));
}

async function put(path: string, archive: Buffer, over: object = {}): Promise<readonly Kind[]> {
  const stream = await lab.master.open('archive-put', { podId: 'p', path, ...over });
  const answer = collect(stream);
  for (let at = 0; at < archive.length; at += 64 * 1024) if (!write(stream, { $case: 'stdin', value: archive.subarray(at, at + 64 * 1024) })) await once(stream, 'drain');
  write(stream, { $case: 'stdinEnd', value: true });
  return await answer;
}

const putOk = async (path: string, archive: Buffer, over: object = {}): Promise<ArchiveResult> => {
  const frames = await put(path, archive, over);
  if (frames[0]?.$case !== 'message') throw new Error(JSON.stringify(frames));
  return JSON.parse(frames[0].value) as ArchiveResult;
};

describe('out', () => {
  test('a file with its owner and mode, under its own name or another', async () => {
    const file = (await get('/data/f')).get('f');
    expect([file?.text, file?.header.mode, file?.header.uid, file?.header.gid]).toEqual(['hello\n', 0o640, 1234, 2345]);
    expect([...(await get('/data/f', { as: 'other' })).keys()]).toEqual(['other']);
    expect(await stat('/data/f')).toMatchObject({ path: '/data/f', type: 'file', size: 6, mode: 0o640 });
  });

  test('a directory, and what is in it', async () => {
    const whole = await get('/data/sub');
    expect([...whole].map(([name, { header, text }]) => `${name} ${header.type} ${header.mode?.toString(8)} ${text.trim()}`).toSorted()).toEqual(['sub directory 755 ', 'sub/deep directory 755 ', 'sub/deep/g file 4711 deep']);
    expect((await get('/data/empty')).get('empty')?.header.mode).toBe(0o1777);
    const contents = [...(await get('/data/sub/.')).keys()].map((name) => name.replace(/^\.\//, '')).toSorted();
    expect(contents).toEqual(['.', 'deep', 'deep/g']);
    const data = await get('/data');
    expect([data.get('data/f')?.header.type, data.get('data/hard')?.header.type].toSorted((a, b) => (String(a) < String(b) ? -1 : 1))).toEqual(['file', 'link']);
  });

  test('links stay links, or are followed, and never lead out of the container', async () => {
    expect((await get('/data/link')).get('link')?.header).toMatchObject({ type: 'symlink', linkname: 'f' });
    expect([...(await get('/data/link', { follow: true })).values()].map(({ text }) => text)).toEqual(['hello\n']);
    const own = await lab.shell('p', 'cat /etc/passwd');
    for (const path of ['/data/climbing', '/data/absolute/passwd', '/data/absolute/../../../../etc/passwd', '/../../etc/passwd', 'etc/passwd']) {
      expect([...(await get(path, { follow: true })).values()].map(({ text }) => text), path).toEqual([own]);
    }
    expect(failure(await ask('archive-get', '/data/host', { follow: true }))).toMatchObject({ code: 'not-found' });
    expect((await get('/data/host')).get('host')?.header).toMatchObject({ type: 'symlink', linkname: outside });
    expect(failure(await ask('archive-get', '/data/loop', { follow: true }))).toMatchObject({ code: 'invalid' });
    expect(await stat('/data/absolute', { follow: true })).toMatchObject({ path: '/etc', type: 'directory' });
    expect(await stat('/data/absolute')).toMatchObject({ type: 'link', link: '/etc' });
  });

  test('what is not there, and containers that do not run', async () => {
    expect(failure(await ask('archive-get', '/nope/x'))).toMatchObject({ code: 'not-found', message: 'there is no /nope/x in the container' });
    expect(failure(await ask('archive-stat', '/data/f/x'))).toMatchObject({ code: 'invalid' });
    await lab.run('over', ['true'], {}, 'succeeded');
    expect(failure(await collect(await lab.master.open('archive-get', { podId: 'over', path: '/etc' })))).toMatchObject({ code: 'unavailable', message: expect.stringContaining('not running') as string });
  });

  test('20 MB, byte for byte', async () => {
    await lab.shell('p', 'head -c 20000000 /dev/urandom > /data/large');
    const sum = (await lab.shell('p', 'busybox sha256sum /data/large')).slice(0, 64);
    const frames = await ask('archive-get', '/data/large');
    const archive = bytesOf(frames, 'stdout');
    expect(await putOk('/tmp', archive)).toMatchObject({ entries: 1, bytes: 20_000_000, skipped: [] });
    expect((await lab.shell('p', 'busybox sha256sum /tmp/large; rm /tmp/large /data/large')).slice(0, 64)).toBe(sum);
  });
});

describe('in', () => {
  const archive = () => tar([
    { name: 'top/', directory: true, mode: 0o750, uid: 7, gid: 8 }, { name: 'top/file', data: 'new\n', mode: 0o604, uid: 7, gid: 8 }, { name: 'top/to', link: 'file' }, { name: 'top/away', link: '/etc/passwd', uid: 7, gid: 8 }, { name: 'top/hard', hardLink: 'top/file' },
  ]);
  const look = (path: string) => lab.shell('p', `stat -c '%n %F %a %u:%g' ${path}`).then((text) => text.trim().split('\n'));

  test('owners are kept where that is asked for, and are root\'s otherwise', async () => {
    expect(await putOk('/tmp', await archive())).toEqual({ entries: 5, bytes: 4, skipped: [] });
    expect(await look('/tmp/top /tmp/top/file')).toEqual(['/tmp/top directory 750 0:0', '/tmp/top/file regular file 604 0:0']);
    expect(await putOk('/tmp', await archive(), { owners: true })).toMatchObject({ entries: 5 });
    expect(await look('/tmp/top /tmp/top/file /tmp/top/away')).toEqual(['/tmp/top directory 750 7:8', '/tmp/top/file regular file 604 7:8', '/tmp/top/away symbolic link 777 7:8']);
    expect(await lab.shell('p', 'cat /tmp/top/to; stat -c %h /tmp/top/file; rm -r /tmp/top')).toBe('new\n2\n');
  });

  test('into what is mounted there, and through a link of the container\'s own', async () => {
    await putOk('/dev/shm', await tar([{ name: 'here', data: 'x' }]));
    expect(await lab.shell('p', 'cat /dev/shm/here')).toBe('x');
    await putOk('/data/absolute', await tar([{ name: 'tsorch-test-new', data: 'y' }]));
    expect(await lab.shell('p', 'cat /etc/tsorch-test-new')).toBe('y');
    await expect(fs.access('/etc/tsorch-test-new')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each([
    ['names that climb', () => tar([{ name: `../../../../../..${outside}`, data: 'evil' }])],
    ['a link, and then through it', () => tar([{ name: 'door', link: lab.host.base }, { name: 'door/outside', data: 'evil' }])],
    ['a link that climbs, and then through it', () => tar([{ name: 'ladder', link: '../../../../../..' }, { name: `ladder${outside}`, data: 'evil' }])],
    ['a hard link to what is outside', () => tar([{ name: 'hard', hardLink: `../../../..${outside}` }])],
  ])('an archive cannot lead out: %s', async (_name, make) => {
    await lab.shell('p', 'rm -rf /tmp/in; mkdir /tmp/in');
    const frames = await put('/tmp/in', await make());
    expect(failure(frames)?.code ?? 'refused').not.toBe('internal');
    expect(await fs.readFile(outside, 'utf8')).toBe('of the host');
    expect(await lab.shell('p', 'busybox find / -xdev -name outside -not -path "/proc/*"')).not.toContain('outside');
  });

  test('what cannot be: no directory, a file, bytes that are no archive, an archive cut short', async () => {
    const good = await tar([{ name: 'f', data: 'x' }]);
    expect(failure(await put('/nope', good))).toMatchObject({ code: 'not-found' });
    expect(failure(await put('/data/f', good))).toMatchObject({ code: 'invalid', message: '/data/f is no directory in the container' });
    expect(failure(await put('/proc/sys', good))?.code).toMatch(/conflict|not-found/);
    expect(failure(await put('/tmp', Buffer.alloc(4096, 'no archive')))).toMatchObject({ code: 'invalid' });
    expect(failure(await put('/tmp', (await tar([{ name: 'cut', data: Buffer.alloc(100_000) }])).subarray(0, 20_000)))?.code).toMatch(/invalid|aborted/);
    const read = await lab.master.open('archive-put', { podId: 'p', path: '/tmp' });
    write(read, { $case: 'stdin', value: good.subarray(0, 600) });
    read.end();
    // And the container is none the worse for it.
    expect(await lab.shell('p', 'echo well')).toBe('well\n');
  });

  test('a container whose root is read-only says so; its volumes are another matter', async () => {
    await lab.run('ro', ['sleep', '1000'], { readOnly: true, mounts: [{ kind: 'tmpfs', target: '/scratch', readOnly: false }] });
    const archive = await tar([{ name: 'f', data: 'x' }]);
    expect(failure(await put('/tmp', archive, { podId: 'ro' }))).toMatchObject({ code: 'conflict' });
    expect(await putOk('/scratch', archive, { podId: 'ro' })).toMatchObject({ entries: 1 });
    expect(await lab.shell('ro', 'cat /scratch/f')).toBe('x');
  });
});
