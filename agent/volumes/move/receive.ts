/**
 * Writes records into a directory of this host, and notes each entry that is complete, so that a transfer that broke off goes on where it
 * was. Synchronous, to be run in a thread of its own. Nothing is opened by a path: each name is opened in a directory that is held open, and
 * no link is followed, whatever the other side sends.
 *
 * ```
 * <incoming>/journal   a header, then an entry per line, a file's with the digest the sender made
 * <incoming>/data/     the tree
 * ```
 */
import fs from 'node:fs';
import path from 'node:path';
import { makeNode, setTimes, setXattr } from '../../../lib/linux/files.ts';
import { hasErrno } from '../../../lib/linux/libc.ts';
import { raise, TsorchError } from '../../../model/errors.ts';
import { type Entry, type Position, type Rec, RecordReader } from './format.ts';
import { fromStart } from './send.ts';
import { readJournal, type Line } from './journal.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = fs.constants;
const typeBits = { c: 0o020000, b: 0o060000, p: 0o010000, s: 0o140000 } as const;
/** Lines are written when there are so many; what is not noted is made again. */
const flushLines = 256;

interface Directory {
  readonly entry: Entry;
  readonly fd: number;
}

interface OpenFile {
  readonly entry: Entry;
  readonly fd: number;
}

export class TreeReceiver {
  /** Where the stream is to begin. */
  readonly position: Position;
  readonly #root: string;
  readonly #journal: number;
  readonly #reader = new RecordReader();
  /** From the root to where the last entry was. */
  readonly #stack: Directory[] = [];
  #file: OpenFile | null = null;
  #lines: string[] = [];
  #entries: number;
  #over = false;
  /** Of files' data, an earlier part of the transfer included. */
  bytes: number;

  /**
   * Takes up what an earlier transfer left in `incoming`, in this boot: after another one nobody knows what reached the disk. `fresh` is
   * given the directory that is still empty.
   */
  constructor(incoming: string, bootId: string, fresh: (data: string) => void = () => {}) {
    this.#root = path.join(incoming, 'data');
    const file = path.join(incoming, 'journal');
    const before = readJournal(file, bootId);
    if (before === null) {
      fs.rmSync(incoming, { recursive: true, force: true });
      fs.mkdirSync(this.#root, { recursive: true, mode: 0o700 });
      fresh(this.#root);
      fs.writeFileSync(file, `${JSON.stringify({ bootId })}\n`, { mode: 0o600 });
    } else fs.truncateSync(file, before.bytes);
    this.#journal = fs.openSync(file, 'a');
    this.#entries = before?.entries ?? 0;
    this.bytes = before?.data ?? 0;
    for (const entry of before?.open ?? []) this.#push(entry);
    this.position = before?.last === undefined ? fromStart : { entries: before.entries, last: before.last, offset: this.#halfFile(before.last) };
    this.bytes += this.position.offset;
  }

  get entries(): number {
    return this.#entries;
  }

  /** True once all of it is here. */
  get over(): boolean {
    return this.#over;
  }

  write(piece: Uint8Array): void {
    for (const record of this.#reader.push(piece)) this.#record(record);
  }

  /** Gives back what is open; what was noted stays noted. */
  close(): void {
    this.#flush();
    if (this.#file) fs.closeSync(this.#file.fd);
    for (const { fd } of this.#stack.splice(0)) fs.closeSync(fd);
    this.#file = null;
    fs.closeSync(this.#journal);
  }

  #record(record: Rec): void {
    if (this.#over) throw wrong('something after the end');
    switch (record.kind) {
      case 'entry': return this.#entry(record.entry);
      case 'data': {
        const file = this.#file ?? raise(wrong('data of no file'));
        if (record.offset + record.bytes.length > file.entry.size) throw wrong(`more of ${file.entry.path} than there is`);
        for (let done = 0; done < record.bytes.length; ) done += fs.writeSync(file.fd, record.bytes, done, record.bytes.length - done, record.offset + done);
        this.bytes += record.bytes.length;
        return;
      }
      case 'digest': {
        const file = this.#file ?? raise(wrong('a digest of no file'));
        fs.ftruncateSync(file.fd, file.entry.size);
        fs.closeSync(file.fd);
        this.#file = null;
        dress(inDirectory(this.#stack.at(-1)?.fd ?? -1, file.entry.path), file.entry);
        return this.#note({ ...file.entry, digest: record.digest });
      }
      case 'end':
        if (this.#file || record.entries !== this.#entries) throw wrong(`${this.#entries} entries instead of ${record.entries}`);
        while (this.#stack.length > 0) this.#pop();
        this.#flush();
        this.#over = true;
    }
  }

  #entry(entry: Entry): void {
    if (this.#file) throw wrong(`an entry in the midst of ${this.#file.entry.path}`);
    if (entry.path === '') {
      if (this.#stack.length > 0 || this.#entries > 0) throw wrong('a second root');
      this.#push(entry);
      return this.#note(entry);
    }
    const parent = entry.path.includes('/') ? entry.path.slice(0, entry.path.lastIndexOf('/')) : '';
    while (this.#stack.length > 0 && this.#stack.at(-1)?.entry.path !== parent) this.#pop();
    const directory = this.#stack.at(-1) ?? raise(wrong(`${entry.path} in no directory`));
    const file = inDirectory(directory.fd, entry.path);
    switch (entry.type) {
      case 'd':
        makeDirectory(file);
        this.#push(entry);
        return this.#note(entry);
      case '-': {
        const goesOn = this.#entries === this.position.entries && this.position.offset > 0;
        this.#file = { entry, fd: goesOn ? fs.openSync(file, O_WRONLY | O_NOFOLLOW) : anew(file, () => fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)) };
        return;
      }
      case 'h':
        this.#withParent(entry.to ?? '', (from) => anew(file, () => fs.linkSync(from, file)));
        return this.#note(entry);
      case 'l':
        anew(file, () => fs.symlinkSync(Buffer.from(entry.to ?? '', 'latin1'), file));
        break;
      case 'c': case 'b': case 'p': case 's': {
        const bits = typeBits[entry.type] | 0o600;
        anew(file, () => makeNode(file, bits, entry.device ?? 0));
        break;
      }
    }
    dress(file, entry);
    this.#note(entry);
  }

  /** The path of an earlier entry by its directory, opened part by part. */
  #withParent(target: string, use: (file: Buffer) => void): void {
    const parts = target.split('/');
    let fd = fs.openSync(this.#root, O_RDONLY | O_DIRECTORY);
    try {
      for (const part of parts.slice(0, -1)) {
        const next = fs.openSync(inDirectory(fd, part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        fs.closeSync(fd);
        fd = next;
      }
      use(inDirectory(fd, parts.at(-1) ?? ''));
    } finally {
      fs.closeSync(fd);
    }
  }

  #push(entry: Entry): void {
    const parent = this.#stack.at(-1);
    const file = parent ? inDirectory(parent.fd, entry.path) : Buffer.from(this.#root);
    this.#stack.push({ entry, fd: fs.openSync(file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) });
  }

  /** A directory is dressed when nothing more is made in it. */
  #pop(): void {
    const directory = this.#stack.pop();
    if (!directory) return;
    dress(Buffer.from(`/proc/self/fd/${directory.fd}/.`), directory.entry);
    fs.closeSync(directory.fd);
  }

  #note(line: Line): void {
    this.#entries++;
    this.#lines.push(JSON.stringify(line));
    if (this.#lines.length >= flushLines || line.size > 16 << 20) this.#flush();
  }

  #flush(): void {
    if (this.#lines.length === 0) return;
    fs.writeSync(this.#journal, `${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }

  /** How much there is of the file after the last entry. What is written lies in order, so its length says it. */
  #halfFile(last: string): number {
    const directory = this.#stack.at(-1);
    if (!directory) return 0;
    const names = fs.readdirSync(`/proc/self/fd/${directory.fd}/.`, { encoding: 'buffer' }).map((name) => (directory.entry.path === '' ? '' : `${directory.entry.path}/`) + name.toString('latin1'));
    const later = names.filter((name) => comparePaths(name, last) > 0);
    const [only] = later;
    if (later.length !== 1 || only === undefined) return 0;
    const stat = fs.lstatSync(inDirectory(directory.fd, only));
    return stat.isFile() && stat.nlink === 1 ? stat.size : 0;
  }
}

/** In the order of the stream, for two in one directory or below it. */
function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = Buffer.compare(Buffer.from(left[i] ?? '', 'latin1'), Buffer.from(right[i] ?? '', 'latin1'));
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function inDirectory(fd: number, entryPath: string): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), Buffer.from(entryPath.slice(entryPath.lastIndexOf('/') + 1), 'latin1')]);
}

function makeDirectory(file: Buffer): void {
  try {
    fs.mkdirSync(file, { mode: 0o700 });
  } catch (error) {
    // Made by a transfer that broke off before it was noted.
    if (!hasErrno(error, 'EEXIST')) throw error;
  }
}

/** Makes what must not be there yet, in place of what a transfer that broke off has left of it. */
function anew<T>(file: Buffer, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
    fs.unlinkSync(file);
    return make();
  }
}

/** Owner, attributes, mode, time, in the order in which none undoes another. */
function dress(file: Buffer, { uid, gid, mode, mtime, type, xattrs = [] }: Entry): void {
  fs.lchownSync(file, uid, gid);
  for (const [name, value] of xattrs) setXattr(file, { name, value: Buffer.from(value, 'base64') });
  if (type !== 'l') fs.chmodSync(file, mode);
  setTimes(file, BigInt(mtime), BigInt(mtime));
}

function wrong(what: string): TsorchError {
  return new TsorchError('invalid', `the volume's copy does not hold together: ${what}`);
}
