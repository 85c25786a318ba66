/**
 * Reads a volume's tree into records. Synchronous, to be run in a thread of its own: a directory is held open while what is in it is read, so
 * that paths are never longer than the kernel takes, and links are never followed.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { readXattrs, seekData, seekHole } from '../../../lib/linux/files.ts';
import { TsorchError } from '../../../model/errors.ts';
import { dataBytes, type Entry, type Position, RecordWriter } from './format.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, S_IFMT } = fs.constants;

export const fromStart: Position = { entries: 0, last: '', offset: 0 };

/**
 * Pieces of the stream, from a position on. `conflict` when the tree is not what it was when the position was noted, or when a file changes
 * while it is read.
 */
export function* sendTree(root: string, from: Position): Generator<Uint8Array<ArrayBuffer>> {
  const writer = new RecordWriter();
  let count = 0;
  for (const { entry, open } of walk(root)) {
    count++;
    if (count < from.entries) continue;
    if (count === from.entries) {
      if (entry.path !== from.last) throw changed(entry.path);
      continue;
    }
    writer.entry(entry);
    if (entry.type === '-') yield* sendFile(writer, open(), entry, count === from.entries + 1 ? from.offset : 0);
    if (writer.full) yield writer.take();
  }
  if (count < from.entries) throw changed(from.last);
  writer.end(count);
  yield writer.take();
}

/** What a hole reads as. */
const zeros = Buffer.alloc(dataBytes);

function* sendFile(writer: RecordWriter, fd: number, { path, size, mtime }: Entry, from: number): Generator<Uint8Array<ArrayBuffer>> {
  try {
    const hash = createHash('sha256');
    let buffer: Buffer | null = null;
    for (let at = 0; at < size; ) {
      const data = seekData(fd, at) ?? size;
      // Holes are not sent, but they are part of what is compared.
      for (; at < Math.min(data, size); at += dataBytes) hash.update(zeros.subarray(0, Math.min(dataBytes, Math.min(data, size) - at)));
      at = Math.min(data, size);
      const hole = at < size ? Math.min(seekHole(fd, at), size) : size;
      while (at < hole) {
        // Small ones share a slab.
        buffer ??= size < Buffer.poolSize >>> 1 ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(Math.min(dataBytes, size));
        const read = fs.readSync(fd, buffer, 0, Math.min(buffer.length, hole - at), at);
        if (read === 0) throw changed(path);
        const bytes: Buffer = buffer.subarray(0, read);
        hash.update(bytes);
        if (at + read > from) writer.data(Math.max(at, from), at >= from ? bytes : bytes.subarray(from - at));
        at += read;
        // What was taken is a copy; what was not still needs this one.
        if (writer.full) yield writer.take();
        else buffer = null;
      }
    }
    const after = fs.fstatSync(fd, { bigint: true });
    if (String(after.mtimeNs) !== mtime || Number(after.size) !== size) throw changed(path);
    writer.digest(hash.digest('hex'));
  } finally {
    fs.closeSync(fd);
  }
}

interface Walked {
  readonly entry: Entry;
  /** Of a file. */
  readonly open: () => number;
}

/** The tree in the order of the stream. */
export function* walk(root: string): Generator<Walked> {
  const names = new Map<string, string>();
  const fd = fs.openSync(root, O_RDONLY | O_DIRECTORY);
  const stat = fs.fstatSync(fd, { bigint: true });
  let own = true;
  try {
    yield { entry: entryOf('', Buffer.from(`/proc/self/fd/${fd}/.`), stat, names), open: () => fd };
    own = false;
    yield* walkDirectory(fd, '', stat.dev, names);
  } finally {
    if (own) fs.closeSync(fd);
  }
}

function* walkDirectory(fd: number, path: string, device: bigint, names: Map<string, string>): Generator<Walked> {
  try {
    const base = Buffer.from(`/proc/self/fd/${fd}/`);
    const found = fs.readdirSync(Buffer.concat([base, Buffer.from('.')]), { encoding: 'buffer' }).sort((a, b) => Buffer.compare(a, b));
    for (const name of found) {
      const file = Buffer.concat([base, name]);
      const stat = fs.lstatSync(file, { bigint: true });
      const own = path === '' ? name.toString('latin1') : `${path}/${name.toString('latin1')}`;
      if (stat.dev !== device) throw new TsorchError('conflict', `${JSON.stringify(own)} in the volume is another file system`, { hint: 'unmount it on that node' });
      yield { entry: entryOf(own, file, stat, names), open: () => fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) };
      if (stat.isDirectory()) yield* walkDirectory(fs.openSync(file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), own, device, names);
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** `names`: where files that have several were met first, by inode. */
function entryOf(path: string, file: Buffer, stat: fs.BigIntStats, names: Map<string, string>): Entry {
  const base = { path, mode: Number(stat.mode & ~BigInt(S_IFMT)), uid: Number(stat.uid), gid: Number(stat.gid), mtime: String(stat.mtimeNs), size: 0 };
  if (!stat.isDirectory() && stat.nlink > 1n) {
    const first = names.get(String(stat.ino));
    if (first !== undefined) return { ...base, type: 'h', to: first };
    names.set(String(stat.ino), path);
  }
  const found = readXattrs(file).map(({ name, value }) => [name, Buffer.from(value).toString('base64')] as const);
  const rest = { ...base, ...(found.length > 0 ? { xattrs: found } : {}) };
  if (stat.isDirectory()) return { ...rest, type: 'd' };
  if (stat.isFile()) return { ...rest, type: '-', size: Number(stat.size) };
  if (stat.isSymbolicLink()) return { ...rest, type: 'l', to: fs.readlinkSync(file, { encoding: 'buffer' }).toString('latin1') };
  if (stat.isFIFO()) return { ...rest, type: 'p' };
  if (stat.isSocket()) return { ...rest, type: 's' };
  return { ...rest, type: stat.isCharacterDevice() ? 'c' : 'b', device: Number(stat.rdev) };
}

function changed(path: string): TsorchError {
  return new TsorchError('conflict', `${JSON.stringify(path)} changed while the volume was copied`, { hint: 'something on that node still writes into it' });
}
