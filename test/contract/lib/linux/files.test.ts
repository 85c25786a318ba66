import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { closeFile, makeNode, openBeneath, openFlag, readXattrs, seekData, seekHole, setTimes, setXattr } from '../../../../lib/linux/files.ts';

let directory: string;
let root: number;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tsorch-files-'));
  fs.mkdirSync(path.join(directory, 'root/deep'), { recursive: true });
  fs.writeFileSync(path.join(directory, 'outside'), 'secret');
  fs.writeFileSync(path.join(directory, 'root/deep/file'), 'mine');
  root = fs.openSync(path.join(directory, 'root'), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
});
afterEach(() => {
  fs.closeSync(root);
  fs.rmSync(directory, { recursive: true, force: true });
});

const read = (name: string, options?: { readonly links?: boolean }): string => {
  const fd = openBeneath(root, name, fs.constants.O_RDONLY, options);
  try {
    return fs.readFileSync(fd, 'utf8');
  } finally {
    closeFile(fd);
  }
};

test('what leads out of a directory is not opened', () => {
  fs.symlinkSync('deep/file', path.join(directory, 'root/inner'));
  fs.symlinkSync('../../root/deep/file', path.join(directory, 'root/deep/out-and-in'));
  fs.symlinkSync('../outside', path.join(directory, 'root/out'));
  fs.symlinkSync(path.join(directory, 'outside'), path.join(directory, 'root/absolute'));
  fs.symlinkSync('loop', path.join(directory, 'root/loop'));
  fs.symlinkSync('/proc/self/root', path.join(directory, 'root/magic'));
  expect(read('deep/file')).toBe('mine');
  expect(read('deep/../deep/file')).toBe('mine');
  expect(read('inner')).toBe('mine');
  expect(() => read('inner', { links: false })).toThrow(expect.objectContaining({ code: 'ELOOP' }));
  for (const name of ['out', 'absolute', '..', '../outside', '/etc/passwd', 'deep/out-and-in', 'deep/../../outside', 'magic/etc/passwd']) expect(() => read(name), name).toThrow(expect.objectContaining({ code: 'EXDEV' }));
  expect(() => read('loop')).toThrow(expect.objectContaining({ code: 'ELOOP' }));
  expect(() => read('missing')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  expect(() => read('deep\0/x')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});

test('a handle stays on what was opened when the name goes elsewhere', () => {
  const fd = openBeneath(root, 'deep', openFlag.path | openFlag.directory);
  fs.renameSync(path.join(directory, 'root/deep'), path.join(directory, 'root/moved'));
  fs.symlinkSync('/etc', path.join(directory, 'root/deep'));
  expect(fs.readdirSync(`/proc/self/fd/${fd}`)).toEqual(['file']);
  closeFile(fd);
});

test('data and holes', () => {
  const file = path.join(directory, 'sparse');
  const fd = fs.openSync(file, 'w+');
  fs.writeSync(fd, 'x', 1 << 20);
  fs.ftruncateSync(fd, 3 << 20);
  expect([seekData(fd, 0), seekHole(fd, 0), seekHole(fd, 1 << 20), seekData(fd, (1 << 20) + 65536)]).toEqual([1 << 20, 0, (1 << 20) + 4096, null]);
  fs.closeSync(fd);
});

test('extended attributes, also of links and with any bytes', () => {
  const file = path.join(directory, 'root/deep/file');
  setXattr(file, { name: 'user.b', value: Buffer.from([0, 255, 10]) });
  setXattr(Buffer.from(file), { name: 'user.a', value: new Uint8Array(0) });
  expect(readXattrs(file).map(({ name, value }) => [name, [...value]])).toEqual([['user.a', []], ['user.b', [0, 255, 10]]]);
  fs.symlinkSync(file, path.join(directory, 'link'));
  expect(readXattrs(path.join(directory, 'link'))).toEqual([]);
  expect(() => readXattrs(path.join(directory, 'none'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

test('times to the nanosecond, before the epoch too, of links themselves', () => {
  const link = path.join(directory, 'link');
  fs.symlinkSync('nowhere', link);
  setTimes(link, 1_234_567_890_123_456_789n, -1_500_000_001n);
  const { atimeNs, mtimeNs } = fs.lstatSync(link, { bigint: true });
  expect([atimeNs, mtimeNs]).toEqual([1_234_567_890_123_456_789n, -1_500_000_001n]);
});

test.runIf(process.getuid?.() === 0)('device files and FIFOs', () => {
  const null_ = fs.statSync('/dev/null');
  makeNode(path.join(directory, 'null'), null_.mode, null_.rdev);
  makeNode(path.join(directory, 'fifo'), 0o010640, 0);
  expect([fs.statSync(path.join(directory, 'null')).rdev, fs.statSync(path.join(directory, 'fifo')).isFIFO()]).toEqual([null_.rdev, true]);
});
