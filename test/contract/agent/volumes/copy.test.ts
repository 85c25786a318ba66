/** A volume's tree through the stream and back, on the real file system: everything a file can be, cut off anywhere, and attacks. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RecordReader, RecordWriter, type Entry } from '../../../../agent/volumes/move/format.ts';
import { TreeReceiver } from '../../../../agent/volumes/move/receive.ts';
import { fromStart, sendTree, walk } from '../../../../agent/volumes/move/send.ts';
import { verifyTree } from '../../../../agent/volumes/move/verify.ts';
import { makeNode, setXattr } from '../../../../lib/linux/files.ts';

let directory: string;
let source: string;
let incoming: string;
beforeEach(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'tsorch-copy-')));
  source = path.join(directory, 'source');
  incoming = path.join(directory, 'incoming');
  fs.mkdirSync(source);
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

/** All that is to be the same. */
function picture(root: string): readonly unknown[] {
  return Array.from(walk(root), ({ entry, open }) => {
    if (entry.type !== '-') return entry;
    const fd = open();
    const digest = createHash('sha256').update(fs.readFileSync(fd)).digest('hex');
    fs.closeSync(fd);
    return { ...entry, digest };
  });
}

function everything(): void {
  const at = (name: string) => path.join(source, name);
  fs.mkdirSync(at('sub/deep/empty'), { recursive: true });
  fs.writeFileSync(at('plain'), 'hello');
  fs.writeFileSync(at('nothing'), '');
  fs.writeFileSync(at('sub/large'), Buffer.alloc((1 << 20) + 5, 'abc'));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0xfe, 0x20, 0x0a])]), 'name of bytes');
  const sparse = fs.openSync(at('sparse'), 'w');
  fs.writeSync(sparse, 'middle', 5 << 20);
  fs.ftruncateSync(sparse, 8 << 20);
  fs.closeSync(sparse);
  fs.linkSync(at('plain'), at('sub/again'));
  fs.symlinkSync('/etc/passwd', at('absolute'));
  fs.symlinkSync(Buffer.from([0x2e, 0x2e, 0x2f, 0xf0]), at('sub/dangling'));
  makeNode(at('fifo'), 0o010640, 0);
  makeNode(at('socket'), 0o140600, 0);
  makeNode(at('device'), 0o020666, fs.statSync('/dev/null').rdev);
  setXattr(at('plain'), { name: 'user.note', value: Buffer.from([0, 1, 255]) });
  setXattr(at('sub'), { name: 'user.dir', value: Buffer.from('x') });
  setXattr(at('absolute'), { name: 'trusted.link', value: Buffer.from('y') });
  // CAP_NET_BIND_SERVICE, permitted and effective: lost by whoever sets the owner last.
  setXattr(at('sub/large'), { name: 'security.capability', value: Buffer.from('0100000200040000000000000000000000000000', 'hex') });
  fs.chownSync(at('sub/large'), 1000, 1001);
  setXattr(at('sub/large'), { name: 'security.capability', value: Buffer.from('0100000200040000000000000000000000000000', 'hex') });
  fs.lchownSync(at('absolute'), 12, 13);
  fs.chownSync(at('sub'), 5, 6);
  fs.chmodSync(at('sub/large'), 0o4711);
  fs.chmodSync(at('sub'), 0o2555);
  execFileSync('touch', ['-h', '-d', '1999-12-31T23:59:59.123456789Z', at('absolute'), at('plain'), at('sub/deep'), at('sub')]);
  fs.utimesSync(source, 1000, 1000);
}

function transfer(cut?: { readonly after: number; readonly piece: number }): boolean {
  const receiver = new TreeReceiver(incoming, 'b1');
  let left = cut?.after ?? Infinity;
  try {
    for (const whole of sendTree(source, receiver.position)) {
      for (let at = 0; at < whole.length; at += cut?.piece ?? whole.length) {
        if (left-- <= 0) return false;
        receiver.write(whole.subarray(at, at + (cut?.piece ?? whole.length)));
      }
    }
    return receiver.over;
  } finally {
    receiver.close();
  }
}
const data = () => path.join(incoming, 'data');

describe('a tree', () => {
  test('arrives as it was: owners, modes, times, links, holes, attributes, devices, names that are no text', () => {
    everything();
    expect(transfer()).toBe(true);
    expect(picture(data())).toEqual(picture(source));
    expect([...verifyTree(incoming)].at(-1)).toBeGreaterThan(8 << 20);
    const blocks = (root: string) => fs.statSync(path.join(root, 'sparse')).blocks;
    expect(blocks(data())).toBe(blocks(source));
    expect(fs.statSync(path.join(data(), 'plain')).ino).toBe(fs.statSync(path.join(data(), 'sub/again')).ino);
    expect(execFileSync('diff', ['-r', '--no-dereference', '--exclude=fifo', '--exclude=socket', '--exclude=device', source, data()]).toString()).toBe('');
  });

  test('cut off anywhere, it goes on from there, and nothing is sent twice that was noted', () => {
    everything();
    const wanted = picture(source);
    const pieces = Array.from(sendTree(source, fromStart)).reduce((sum, piece) => sum + Math.ceil(piece.length / 4096), 0);
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: pieces }), { minLength: 1, maxLength: 4 }), (cuts) => {
      fs.rmSync(incoming, { recursive: true, force: true });
      for (const after of cuts) transfer({ after, piece: 4096 });
      expect(transfer()).toBe(true);
      expect(picture(data())).toEqual(wanted);
      expect(() => [...verifyTree(incoming)]).not.toThrow();
    }), { numRuns: 6 });
  });

  test('the second half of a large file is all that is sent of it', () => {
    fs.writeFileSync(path.join(source, 'large'), Buffer.alloc(8 << 20, 'z'));
    transfer({ after: 16, piece: 256 << 10 });
    const receiver = new TreeReceiver(incoming, 'b1');
    expect(receiver.position).toMatchObject({ entries: 1, last: '' });
    expect(receiver.position.offset).toBeGreaterThanOrEqual(2 << 20);
    const sent = Array.from(sendTree(source, receiver.position)).reduce((sum, piece) => sum + piece.length, 0);
    receiver.close();
    expect(sent).toBeLessThan((8 << 20) - receiver.position.offset + 2000);
    expect(transfer()).toBe(true);
    expect(picture(data())).toEqual(picture(source));
  });

  test('after a reboot it begins anew: who knows what reached the disk', () => {
    everything();
    transfer({ after: 40, piece: 4096 });
    const receiver = new TreeReceiver(incoming, 'b2');
    expect([receiver.position, fs.readdirSync(data())]).toEqual([fromStart, []]);
    receiver.close();
  });

  test('deeper than any path may be long', () => {
    let fd = fs.openSync(source, 'r');
    for (let i = 0; i < 40; i++) {
      const name = `/proc/self/fd/${fd}/${String(i).padEnd(200, 'x')}`;
      fs.mkdirSync(name);
      const next = fs.openSync(name, 'r');
      fs.closeSync(fd);
      fd = next;
    }
    fs.writeFileSync(`/proc/self/fd/${fd}/end`, 'here');
    fs.closeSync(fd);
    expect(transfer()).toBe(true);
    expect(picture(data())).toEqual(picture(source));
  });

  test('what is not whole, or not as it was sent, is found', () => {
    everything();
    transfer();
    const spoil = (what: () => void, message: RegExp) => {
      fs.rmSync(incoming, { recursive: true, force: true });
      transfer();
      what();
      expect(() => [...verifyTree(incoming)]).toThrow(message);
    };
    const at = (name: string) => path.join(data(), name);
    const kept = fs.statSync(at('sub/large'), { bigint: true });
    spoil(() => {
      const fd = fs.openSync(at('sub/large'), 'r+');
      fs.writeSync(fd, 'X', 1 << 19);
      fs.closeSync(fd);
      setXattr(at('sub/large'), { name: 'security.capability', value: Buffer.from('0100000200040000000000000000000000000000', 'hex') });
      fs.chmodSync(at('sub/large'), 0o4711);
      execFileSync('touch', ['-d', `@${kept.mtimeNs / 1_000_000_000n}.${String(kept.mtimeNs % 1_000_000_000n).padStart(9, '0')}`, at('sub/large')]);
    }, /"sub\/large": its content is another one/);
    spoil(() => fs.chmodSync(at('fifo'), 0o666), /"fifo": its mode is another one/);
    spoil(() => fs.rmSync(at('socket')), /differs/);
    spoil(() => fs.writeFileSync(at('zzz'), ''), /"": its mtime|"zzz": it is one too many/);
  });

  test('a file that changes while it is read ends the copy', () => {
    fs.writeFileSync(path.join(source, 'busy'), Buffer.alloc(2 << 20));
    const pieces = sendTree(source, fromStart);
    pieces.next();
    fs.appendFileSync(path.join(source, 'busy'), 'more');
    expect(() => [...pieces]).toThrow(/"busy" changed while the volume was copied/);
    expect(() => [...sendTree(source, { entries: 1, last: 'other', offset: 0 })]).toThrow(/changed/);
    expect(() => [...sendTree(source, { entries: 9, last: 'other', offset: 0 })]).toThrow(/changed/);
  });
});

describe('a stream that means harm', () => {
  const base: Omit<Entry, 'path' | 'type'> = { mode: 0o644, uid: 0, gid: 0, mtime: '0', size: 0 };
  const root: Entry = { ...base, path: '', type: 'd', mode: 0o755 };
  const send = (...entries: readonly (Entry | Buffer)[]): void => {
    fs.rmSync(incoming, { recursive: true, force: true });
    const receiver = new TreeReceiver(incoming, 'b1');
    try {
      for (const each of [root, ...entries]) {
        const writer = new RecordWriter();
        if (Buffer.isBuffer(each)) writer.data(0, each);
        else writer.entry(each);
        receiver.write(writer.take());
      }
    } finally {
      receiver.close();
    }
  };

  test('writes nowhere else', () => {
    fs.mkdirSync(path.join(directory, 'outside'));
    fs.writeFileSync(path.join(directory, 'outside/file'), 'mine');
    const link: Entry = { ...base, path: 'link', type: 'l', to: '../../outside' };
    const cases: readonly (readonly (Entry | Buffer)[])[] = [
      [{ ...base, path: '../outside/new', type: '-' }],
      [{ ...base, path: '/etc/new', type: '-' }],
      [{ ...base, path: 'a/../../x', type: '-' }],
      [link, { ...base, path: 'link/new', type: '-' }],
      [link, { ...base, path: 'link/file', type: '-', size: 3 }, Buffer.from('bad')],
      [link, { ...base, path: 'link', type: 'd' }],
      [link, { ...base, path: 'hard', type: 'h', to: 'link/file' }],
      [{ ...base, path: 'hard', type: 'h', to: '../../outside/file' }],
      [{ ...base, path: 'none/new', type: '-' }],
      [Buffer.from('data of nothing')],
      [{ ...base, path: 'short', type: '-', size: 1 }, Buffer.from('more than said')],
      [root],
    ];
    for (const entries of cases) expect(() => send(...entries), JSON.stringify(entries)).toThrow();
    expect([fs.readdirSync(path.join(directory, 'outside')), fs.readFileSync(path.join(directory, 'outside/file'), 'utf8'), fs.existsSync('/etc/new')]).toEqual([['file'], 'mine', false]);
  });

  test('of any bytes is refused, or read as what it is', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, cut) => {
      const reader = new RecordReader();
      try {
        for (let at = 0; at < bytes.length; at += cut) for (const record of reader.push(bytes.subarray(at, at + cut))) expect(['entry', 'data', 'digest', 'end']).toContain(record.kind);
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid' });
      }
    }));
  });

  test('records arrive however they are cut', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), fc.integer({ min: 1, max: 70 }), (payloads, cut) => {
      const writer = new RecordWriter();
      for (const [index, payload] of payloads.entries()) writer.data(index, payload);
      const all = writer.take();
      const reader = new RecordReader();
      const got: number[][] = [];
      for (let at = 0; at < all.length; at += cut) for (const record of reader.push(all.subarray(at, at + cut))) if (record.kind === 'data') got.push([record.offset, ...record.bytes]);
      expect(got).toEqual(payloads.map((payload, index) => [index, ...payload]));
    }));
  });
});
