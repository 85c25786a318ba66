import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blockBytes } from '../../../../agent/logs/blocks.ts';
import { LogStore } from '../../../../agent/logs/store.ts';
import type { ReadOptions } from '../../../../agent/logs/read.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { type LogChunk, linesOf } from '../../../../model/log-chunk.ts';
import type { LogLine } from '../../../../model/api.ts';

const owner = { id: 'p1', service: 'shop_web', slot: '1', createdAt: 1 };
let directory: string;
let stop: AbortController;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-logs-'));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await fs.rm(directory, { recursive: true, force: true });
});

const store = (over: Partial<ConstructorParameters<typeof LogStore>[0]> = {}) => new LogStore({ directory, clock: systemClock, log: silentLog, signal: stop.signal, ...over });

const linesIn = (chunks: readonly LogChunk[]) => chunks.flatMap((chunk) => linesOf({ ...chunk, pod: 'shop_web.1', podId: 'p1', node: 'n' }));

async function all(logs: LogStore, options: Partial<ReadOptions> = {}, pod = 'p1'): Promise<LogLine[]> {
  const records: LogLine[] = [];
  for await (const batch of logs.read(pod, { follow: false, ...options }, stop.signal)) records.push(...linesIn(batch));
  return records;
}

const texts = (records: readonly LogLine[]) => records.map((r) => r.line);

/** Appends as a shim does: another process, O_APPEND. */
function writer(script: string, ...files: string[]): Promise<void> {
  const child = spawn('sh', ['-c', script, 'sh', ...files], { stdio: 'ignore' });
  children.push(child);
  return once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`writer ended with ${String(code)}`);
  });
}

/** Follows until `enough`. */
async function follow(logs: LogStore, options: Partial<ReadOptions>, enough: (records: readonly LogLine[]) => boolean): Promise<LogLine[]> {
  const records: LogLine[] = [];
  for await (const batch of logs.read('p1', { follow: true, ...options }, stop.signal)) {
    records.push(...linesIn(batch));
    if (enough(records)) break;
  }
  return records;
}

describe('reading', () => {
  test('both streams by time, tail, since and until', async () => {
    const logs = store();
    const { stdout, stderr } = await logs.begin(owner, 'main', 1);
    for (const [i, file] of [stdout, stderr, stdout, stderr].entries()) {
      await fs.appendFile(file, `line ${i}\n`);
      await follow(logs, {}, (r) => r.length === i + 1);
      await systemClock.sleep(30);
    }
    const records = await all(logs);
    expect(records.map((r) => [r.stream, r.line])).toEqual([['stdout', 'line 0'], ['stderr', 'line 1'], ['stdout', 'line 2'], ['stderr', 'line 3']]);
    expect(texts(await all(logs, { tail: 2 }))).toEqual(['line 2', 'line 3']);
    expect(texts(await all(logs, { tail: 0 }))).toEqual([]);
    expect(texts(await all(logs, { tail: 99 }))).toHaveLength(4);
    const [, second, third] = records;
    expect(texts(await all(logs, { since: second?.time ?? 0 }))).toEqual(['line 1', 'line 2', 'line 3']);
    expect(texts(await all(logs, { until: third?.time ?? 0 }))).toEqual(['line 0', 'line 1', 'line 2']);
    expect(texts(await all(logs, { since: second?.time ?? 0, until: third?.time ?? 0, tail: 1 }).then((r) => r))).not.toContain('line 0');
  });

  test('an unfinished line is shown when reading, and held back when following until it is whole or the end has come', async () => {
    const logs = store();
    const { stdout } = await logs.begin(owner, 'main', 1);
    await fs.appendFile(stdout, 'one\ntw');
    expect(texts(await all(logs))).toEqual(['one', 'tw']);
    const following = follow(logs, {}, () => false);
    await fs.appendFile(stdout, 'o\nthree');
    await follow(logs, {}, (r) => texts(r).includes('two'));
    await logs.end('p1', 'main', 1);
    await logs.close('p1');
    expect(texts(await following)).toEqual(['one', 'two', 'three']);
  });

  test('following goes on into the next attempt and ends with the pod', async () => {
    const logs = store();
    const first = await logs.begin(owner, 'main', 1);
    await fs.appendFile(first.stdout, 'first\n');
    const following = follow(logs, {}, () => false);
    await logs.end('p1', 'main', 1);
    const second = await logs.begin(owner, 'main', 2);
    await fs.appendFile(second.stdout, 'second\n');
    await logs.end('p1', 'main', 2);
    await logs.close('p1');
    const records = await following;
    expect(records.map((r) => [r.attempt, r.line])).toEqual([[1, 'first'], [2, 'second']]);
  });

  test('following ends at until', async () => {
    const logs = store();
    const { stdout } = await logs.begin(owner, 'main', 1);
    await fs.appendFile(stdout, 'now\n');
    expect(texts(await follow(logs, { until: Date.now() + 200 }, () => false))).toEqual(['now']);
  });

  test('a pod that this node does not know', async () => {
    await expect(all(store(), {}, 'nobody')).rejects.toMatchObject({ code: 'not-found' });
    await expect(all(store(), {}, '../etc')).rejects.toMatchObject({ code: 'invalid' });
  });

  test('output that came while no agent watched is there, with the time of the file', async () => {
    const before = store();
    const { stdout } = await before.begin(owner, 'main', 1);
    await fs.appendFile(stdout, 'seen\n');
    await follow(before, {}, (r) => r.length === 1);
    await before.close('p1');
    await fs.appendFile(stdout, 'unseen\n');
    const at = new Date(Date.now() - 60_000);
    await fs.utimes(stdout, at, at);
    const logs = store();
    await logs.begin(owner, 'main', 1);
    expect(await all(logs)).toMatchObject([{ line: 'seen' }, { line: 'unseen', time: at.getTime() }]);
  });

  test('only the last five attempts of a slot are kept', async () => {
    const logs = store();
    for (let attempt = 1; attempt <= 7; attempt++) await logs.begin(owner, 'main', attempt);
    expect((await logs.attempts('p1')).map((a) => a.attempt)).toEqual([3, 4, 5, 6, 7]);
    for (const [i, id] of ['p2', 'p3'].entries()) await logs.begin({ ...owner, id, createdAt: 2 + i }, 'main', 1);
    await logs.prune((id) => id === 'p3');
    expect((await fs.readdir(directory)).sort()).toEqual(['p1', 'p2', 'p3']);
    for (const attempt of [2, 3, 4, 5]) await logs.begin({ ...owner, id: 'p3', createdAt: 3 }, 'main', attempt);
    await logs.prune((id) => id === 'p3');
    expect(await fs.readdir(directory)).toEqual(['p3']);
  });
});

describe('floods', () => {
  test('a follower of a flood sees every line, in order, while the head is given up behind it', async () => {
    const logs = store({ limit: 1_000_000 });
    const { stdout } = await logs.begin(owner, 'main', 1);
    const lines = 600_000;
    // In bursts of about a megabyte, so that a reader on a busy machine can follow.
    const writing = writer('i=0; while [ $i -lt 60 ]; do seq $((i * 10000 + 1)) $((i * 10000 + 10000)) >> "$1"; sleep 0.01; i=$((i + 1)); done', stdout);
    let next = 1;
    let wrong = 0;
    for await (const batch of logs.read('p1', { follow: true }, stop.signal)) {
      for (const record of linesIn(batch)) if (record.line !== String(next++)) wrong++;
      if (next > lines) break;
    }
    await writing;
    expect([wrong, next]).toEqual([0, lines + 1]);
    const stat = await fs.stat(stdout);
    expect(stat.blocks * 512).toBeLessThan(1_000_000 * 4.5);
    expect(stat.blocks * 512).toBeLessThan(stat.size);
  });

  test('what a slow reader misses is counted to the byte, and the kept end has no gap', async () => {
    const logs = store({ limit: 500_000 });
    const { stdout } = await logs.begin(owner, 'main', 1);
    const lines = 2_000_000;
    const writing = writer(`seq 1 ${lines} >> "$1"`, stdout);
    let seen = 0;
    let dropped = 0;
    let last = 0;
    for await (const batch of logs.read('p1', { follow: true }, stop.signal)) {
      for (const record of linesIn(batch)) {
        const gap = /^\[tsorch\] (\d+) bytes/.exec(record.line);
        if (gap) {
          dropped += Number(gap[1]);
          continue;
        }
        seen += record.line.length + 1;
        expect(Number(record.line)).toBeGreaterThan(last);
        last = Number(record.line);
      }
      if (last === lines) break;
      await systemClock.sleep(5);
    }
    await writing;
    expect(seen + dropped).toBe((await fs.stat(stdout)).size);
    await logs.end('p1', 'main', 1);
    const kept = texts(await all(logs));
    expect(kept.length).toBeGreaterThan(50_000);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => String(lines - kept.length + 1 + i)));
    expect((await fs.stat(stdout)).blocks * 512).toBeLessThan(500_000 * 4.5);
  });

  test.each(['leaves', 'has read it'] as const)('what a slow reader held back after a flood is given up once it %s, though nothing more is written', async (how) => {
    const limit = 1_000_000;
    const logs = store({ limit });
    const { stdout } = await logs.begin(owner, 'main', 1);
    const blocks = async () => (await fs.stat(stdout)).blocks * 512;
    const reader = logs.read('p1', { follow: true }, stop.signal);
    await writer('echo first >> "$1"', stdout);
    await reader.next();
    await reader.next();
    // More than is kept, less than a reader may hold back.
    await writer('head -c 2500000 /dev/zero | tr "\\0" x | fold -w 99 >> "$1"', stdout);
    await expect.poll(() => logs.live('p1', 'main', 1)?.stdout.size, { timeout: 10_000 }).toBeGreaterThan(2_500_000);
    expect(logs.live('p1', 'main', 1)?.stdout.kept).toBeGreaterThan(2_400_000);
    if (how === 'leaves') await reader.return(undefined);
    else void (async () => { for await (const batch of reader) void batch; })();
    await expect.poll(blocks, { timeout: 10_000 }).toBeLessThan(limit + 8192);
  });

  test('what a container says of its output is kept of both streams together; what one does not use the other may', async () => {
    const logs = store();
    const { stdout, stderr } = await logs.begin(owner, 'main', 1, { maxSize: 500_000, maxFile: 2 });
    const held = async (...files: string[]) => (await Promise.all(files.map((file) => fs.stat(file)))).reduce((sum, { blocks }) => sum + blocks * 512, 0);
    const settled = async (...files: string[]) => {
      for (let i = 0; i < 500 && (await held(...files)) > 1_000_000; i++) await systemClock.sleep(10);
      return held(...files);
    };
    await writer('seq 1 400000 >> "$1"', stdout);
    expect(await settled(stdout)).toBeLessThanOrEqual(1_000_000);
    // Nearly all of it, while nobody else wants it.
    expect(await held(stdout)).toBeGreaterThan(700_000);
    await writer('seq 1 400000 >> "$1"', stderr);
    expect(await settled(stdout, stderr)).toBeLessThanOrEqual(1_000_000);
    await logs.end('p1', 'main', 1);
    const kept = await all(logs);
    for (const stream of ['stdout', 'stderr']) {
      const lines = kept.filter((line) => line.stream === stream);
      expect(lines.at(-1)?.line).toBe('400000');
      expect(lines.length * 7).toBeGreaterThan(250_000);
      expect(texts(lines)).toEqual(lines.map((_, i) => String(400_000 - lines.length + 1 + i)));
    }
  });

  test('no limit at all', async () => {
    const logs = store({ limit: 100_000 });
    const { stdout } = await logs.begin(owner, 'main', 1, { maxSize: -1, maxFile: 1 });
    await writer('seq 1 300000 >> "$1"', stdout);
    await logs.end('p1', 'main', 1);
    expect(await all(logs)).toHaveLength(300_000);
  });

  test('one line of 100 MB comes in pieces, in bounded memory', async () => {
    const logs = store({ limit: 200_000_000 });
    const { stdout } = await logs.begin(owner, 'main', 1);
    await writer('head -c 100000000 /dev/zero | tr "\\0" x >> "$1"; echo >> "$1"; echo end >> "$1"', stdout);
    const before = process.memoryUsage().rss;
    let bytes = 0;
    let most = 0;
    let lastLine = '';
    let whole = 0;
    for await (const batch of logs.read('p1', { follow: false }, stop.signal)) {
      for (const { data } of batch) expect(data.length).toBeLessThanOrEqual(blockBytes);
      for (const record of linesIn(batch)) {
        bytes += record.line.length;
        if (!record.partial) whole++;
        lastLine = record.line;
      }
      most = Math.max(most, process.memoryUsage().rss);
    }
    expect([bytes, whole, lastLine]).toEqual([100_000_003, 2, 'end']);
    expect(most - before).toBeLessThan(80_000_000);
    expect(texts(await all(logs, { tail: 1 }))).toEqual(['end']);
  });

  test('a file system that frees no heads: the file is emptied instead, and reading goes on', async () => {
    const logs = store({ limit: 100_000, punch: () => Promise.reject(new Error('operation not supported')) });
    const { stdout } = await logs.begin(owner, 'main', 1);
    await writer('i=0; while [ $i -lt 40 ]; do seq 1 10000 >> "$1"; sleep 0.02; i=$((i + 1)); done', stdout);
    await follow(logs, {}, () => true);
    for (let i = 0; i < 200 && (await fs.stat(stdout)).size > 200_000; i++) await systemClock.sleep(10);
    expect((await fs.stat(stdout)).size).toBeLessThan(200_000);
    await fs.appendFile(stdout, 'after\n');
    expect(texts(await follow(logs, { tail: 1 }, (r) => texts(r).includes('after'))).at(-1)).toBe('after');
  });
});
