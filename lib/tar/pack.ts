/** A file or a directory as a tar stream, in bounded memory. */
import { constants, type Stats } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { type Header, pack } from 'tar-stream';
import type { Tree } from './tree.ts';

export interface PackOptions {
  readonly tree: Tree;
  /** Where in the tree: the directory, and the one name in it to pack; `''` packs the directory itself. */
  readonly directory: readonly string[];
  readonly name: string;
  /** What it is called in the archive; `.` puts a directory's content at the top. */
  readonly as: string;
  /** Owners as the archive has them. */
  readonly owner?: (uid: number, gid: number) => { readonly uid: number; readonly gid: number };
  readonly packed?: (entry: { readonly path: string; readonly bytes: number }) => void;
  readonly signal: AbortSignal;
}

const blockBytes = 64 * 1024;
const largestId = 0o777777;

type Packer = ReturnType<typeof pack>;

/** Sockets are left out. Rejects with what the file system says; the stream ends in an error then. */
export async function* packTree(options: PackOptions): AsyncGenerator<Buffer> {
  const stream = pack();
  const writing = write(stream, options).then(() => stream.finalize(), (error: unknown) => stream.destroy(error as Error));
  try {
    for await (const part of stream as unknown as AsyncIterable<Buffer>) {
      yield part;
      if (options.signal.aborted) return;
    }
  } finally {
    stream.destroy();
    await writing;
  }
}

interface Walk {
  readonly stream: Packer;
  readonly options: PackOptions;
  /** Files with several names, by device and inode: the first name of each. */
  readonly links: Map<string, string>;
}

async function write(stream: Packer, options: PackOptions): Promise<void> {
  const walk: Walk = { stream, options, links: new Map() };
  if (options.name === '') return writeDirectory(walk, options.directory, options.as);
  await writeEntry(walk, options.directory, options.name, options.as);
}

async function writeEntry(walk: Walk, parents: readonly string[], name: string, as: string): Promise<void> {
  if (walk.options.signal.aborted) return;
  const directory = await walk.options.tree.enter(parents);
  let stat: Stats;
  try {
    const path = `${directory.path}/${name}`;
    stat = await fs.lstat(path);
    if (stat.isFile()) return await writeFile(walk, path, stat, as);
    if (stat.isSymbolicLink()) return await writeHeader(walk, { ...common(walk, stat, as), type: 'symlink', linkname: await fs.readlink(path) }, as);
    const type = stat.isFIFO() ? 'fifo' : stat.isCharacterDevice() ? 'character-device' : stat.isBlockDevice() ? 'block-device' : undefined;
    if (type) return await writeHeader(walk, { ...common(walk, stat, as), type, ...device(stat.rdev) }, as);
  } finally {
    directory.close();
  }
  if (stat.isDirectory()) await writeDirectory(walk, [...parents, name], as);
}

async function writeDirectory(walk: Walk, names: readonly string[], as: string): Promise<void> {
  const directory = await walk.options.tree.enter(names);
  let children: string[];
  try {
    const stat = await fs.stat(directory.path);
    await writeHeader(walk, { ...common(walk, stat, `${as}/`), type: 'directory' }, as);
    children = (await fs.readdir(directory.path)).sort();
  } finally {
    directory.close();
  }
  for (const child of children) {
    await writeEntry(walk, names, child, `${as}/${child}`).catch((error: NodeJS.ErrnoException) => {
      // Gone since it was listed.
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

async function writeFile(walk: Walk, path: string, stat: Stats, as: string): Promise<void> {
  const key = `${stat.dev} ${stat.ino}`;
  const first = stat.nlink > 1 ? walk.links.get(key) : undefined;
  if (first !== undefined) return writeHeader(walk, { ...common(walk, stat, as), type: 'link', linkname: first }, as);
  if (stat.nlink > 1) walk.links.set(key, as);
  // It may be something else by now: a FIFO would not be waited for, a link not followed.
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const now = await handle.stat();
    if (!now.isFile()) return;
    const sink = walk.stream.entry({ ...common(walk, now, as), type: 'file', size: now.size });
    await copy(handle, now.size, (data) => writeTo(sink, data), walk.options.signal);
    await end(sink);
    walk.options.packed?.({ path: as, bytes: now.size });
  } finally {
    await handle.close();
  }
}

/** Exactly `size` bytes: what is missing by now is zeros, what was added is left out. */
async function copy(handle: FileHandle, size: number, to: (data: Buffer) => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let at = 0; at < size && !signal.aborted; ) {
    const block = Buffer.allocUnsafe(Math.min(blockBytes, size - at));
    const { bytesRead } = await handle.read(block, 0, block.length, at);
    if (bytesRead === 0) block.fill(0);
    const data = bytesRead === 0 ? block : block.subarray(0, bytesRead);
    at += data.length;
    await to(data);
  }
}

async function writeHeader(walk: Walk, header: Partial<Header> & { readonly name: string }, as: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    walk.stream.entry(header, (error) => (error ? reject(error) : resolve()));
    // A directory or a link has no data: the callback comes when its header was taken.
    if (walk.stream.destroyed) resolve();
  });
  walk.options.packed?.({ path: as, bytes: 0 });
}

function common(walk: Walk, stat: Stats, name: string): Partial<Header> & { readonly name: string } {
  const { owner } = walk.options;
  const ids = owner ? owner(stat.uid, stat.gid) : stat;
  // Ids that a plain header has no room for; long names the packer sees to itself.
  const pax: Record<string, string> = {};
  if (ids.uid > largestId) pax['uid'] = String(ids.uid);
  if (ids.gid > largestId) pax['gid'] = String(ids.gid);
  return { name, mode: stat.mode & 0o7777, mtime: stat.mtime, uid: Math.min(ids.uid, largestId), gid: Math.min(ids.gid, largestId), ...(Object.keys(pax).length > 0 ? { pax } : {}) };
}

/** As Linux puts the two numbers into one. */
function device(rdev: number): Pick<Header, 'devmajor' | 'devminor'> {
  return { devmajor: (rdev >> 8) & 0xfff, devminor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) };
}

type Sink = ReturnType<Packer['entry']>;

async function writeTo(sink: Sink, data: Buffer): Promise<void> {
  if (sink.write(data)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error | null) => {
      sink.off('drain', settle);
      sink.off('close', settle);
      if (error) reject(error);
      else resolve();
    };
    sink.once('drain', settle);
    sink.once('close', settle);
  });
}

function end(sink: Sink): Promise<void> {
  return new Promise((resolve) => {
    sink.once('close', () => resolve());
    sink.once('finish', () => resolve());
    sink.end(undefined);
  });
}
