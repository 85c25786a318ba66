import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Contact } from '../../../agent/contact.ts';
import { FakeClock } from '../../../lib/clock.ts';
import { silentLog } from '../../../lib/log.ts';

let runDir: string;
let clock: FakeClock;
let stop: AbortController;
/** Of the host: 1,000 s when a test begins, and as fast as the clock of every process, which begins anywhere. */
let uptime: number;

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'tsorch-contact-'));
  uptime = 1_000_000;
  boot();
});
afterEach(() => {
  stop.abort();
  rmSync(runDir, { recursive: true });
});

/** A process begins: its monotonic clock has nothing to do with that of the one before. */
function boot(): void {
  clock = new FakeClock(uptime * 7);
  stop = new AbortController();
}
const open = (bootId = 'b1') => Contact.open({ runDir, bootId, clock, log: silentLog, signal: stop.signal, uptime: () => uptime });
async function advance(ms: number): Promise<void> {
  uptime += ms;
  await clock.advance(ms);
}
async function again(ms: number, bootId?: string): Promise<Contact> {
  stop.abort();
  uptime += ms;
  boot();
  return open(bootId);
}
const written = () => vi.waitFor(() => expect(readdirSync(runDir)).toEqual(['contact.json']));

test('before the first word it counts from the start of the agent', async () => {
  const contact = await open();
  await advance(500);
  expect(contact.alone).toEqual({ ms: 500, heard: false });
});

test('counts from when was sent what a master answered, whenever the answer comes', async () => {
  const contact = await open();
  const sentAt = clock.monotonic();
  await advance(300);
  expect(contact.answered(sentAt, false)).toBe(true);
  expect(contact.alone).toEqual({ ms: 300, heard: true });
  // Answers that overtake one another.
  expect(contact.answered(sentAt + 200, false)).toBe(false);
  expect(contact.answered(sentAt + 100, false)).toBe(false);
  expect(contact.alone).toEqual({ ms: 100, heard: true });
});

test('an agent that is started again goes on counting', async () => {
  const contact = await open();
  await advance(40);
  contact.answered(clock.monotonic(), true);
  await written();
  await advance(1000);
  expect((await again(4000)).alone).toEqual({ ms: 5000, heard: true });
});

test('what is of before the host\'s start, torn or not kept is not known', async () => {
  const contact = await open();
  contact.answered(clock.monotonic(), false);
  expect((await again(100)).alone).toEqual({ ms: 0, heard: false });
  const kept = await again(100);
  kept.answered(clock.monotonic(), false);
  kept.keep();
  await written();
  expect((await again(100, 'b2')).alone).toEqual({ ms: 0, heard: false });
  expect((await again(0)).alone).toEqual({ ms: 100, heard: true });
  writeFileSync(join(runDir, 'contact.json'), '{"bootId":"b1","at":99999999999}');
  expect((await again(0)).alone).toEqual({ ms: 0, heard: false });
  writeFileSync(join(runDir, 'contact.json'), '{"bootId":"b1"');
  expect((await again(0)).alone).toEqual({ ms: 0, heard: false });
});
