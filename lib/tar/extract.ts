/**
 * A tar stream into a directory, in bounded memory. What is there is replaced, but a directory never by something else, nor the other
 * way round. No entry gets outside of the directory, whatever it or the ones before it are called.
 */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { extract, type Header } from 'tar-stream';
import { type Directory, failure, namesOf, type Tree } from './tree.ts';

export interface ExtractOptions {
  readonly tree: Tree;
  /** Owners to be set; null: whoever extracts owns it. */
  readonly owner: (uid: number, gid: number) => { readonly uid: number; readonly gid: number } | null;
  readonly extracted?: (entry: { readonly path: string; readonly bytes: number }) => void;
}

export interface Extracted {
  readonly entries: number;
  readonly bytes: number;
  /** Devices and the like that could not be made here. */
  readonly skipped: readonly string[];
}

/** Modes of directories that the archive has no entry for. */
const directoryMode = 0o755;

/** Rejects with what the file system says, or with EINVAL for an archive that is none or that wants to lead out. */
export async function extractTree(archive: AsyncIterable<Uint8Array>, options: ExtractOptions): Promise<Extracted> {
  const stream = extract();
  const feeding = feed(archive, stream);
  let [entries, bytes] = [0, 0];
  const skipped: string[] = [];
  const directories: { readonly names: readonly string[]; readonly header: Header }[] = [];
  try {
    for await (const entry of stream) {
      const { header } = entry;
      const names = namesOf(header.name);
      const done = await place(options, names, header, entry as unknown as AsyncIterable<Buffer>);
      if (!done) skipped.push(header.name);
      else {
        entries++;
        const size = header.type === 'file' || header.type === 'contiguous-file' ? header.size : 0;
        bytes += size;
        if (header.type === 'directory') directories.push({ names, header });
        options.extracted?.({ path: header.name, bytes: size });
      }
      entry.resume();
    }
    await feeding;
  } catch (error) {
    stream.destroy(null);
    feeding.catch(() => {});
    throw isBroken(error) ? Object.assign(new Error(`this is no tar archive, or not all of it: ${(error as Error).message}`), { code: 'EINVAL', cause: error }) : error;
  }
  // The times of directories, once nothing more is put into them.
  for (const { names, header } of directories.reverse()) await setTime(options.tree, names, header).catch(() => {});
  return { entries, bytes, skipped };
}

/** What the reader says of bytes that are no archive, and of one that ends in the middle. */
function isBroken(error: unknown): boolean {
  const { message, code } = error as NodeJS.ErrnoException;
  return code === 'STREAM_DESTROYED' || /Invalid tar|Unexpected end|Unexpected data/i.test(message);
}

async function feed(archive: AsyncIterable<Uint8Array>, stream: ReturnType<typeof extract>): Promise<void> {
  try {
    for await (const part of archive) {
      if (stream.destroyed) return;
      if (stream.write(part)) continue;
      await new Promise<void>((resolve) => {
        const done = () => {
          stream.off('drain', done);
          stream.off('close', done);
          resolve();
        };
        stream.on('drain', done);
        stream.on('close', done);
      });
    }
    stream.end(undefined);
  } catch (error) {
    stream.destroy(error as Error);
  }
}

/** False when it is nothing that can be made here. */
async function place(options: ExtractOptions, names: readonly string[], header: Header, data: AsyncIterable<Buffer>): Promise<boolean> {
  const name = names.at(-1);
  if (name === undefined) {
    // The directory itself stays what it is.
    return header.type === 'directory';
  }
  const parent = await enterOrMake(options.tree, names.slice(0, -1));
  try {
    const path = `${parent.path}/${name}`;
    await makeRoom(path, header);
    switch (header.type) {
      case 'file':
      case 'contiguous-file':
        await makeFile(options, path, header, data);
        return true;
      case 'directory':
        await makeDirectory(options, path, header, names);
        return true;
      case 'symlink':
        await fs.symlink(header.linkname, path);
        await own(options, path, header);
        return true;
      case 'link':
        await makeLink(options.tree, path, namesOf(header.linkname));
        return true;
      case 'fifo':
      case 'character-device':
      case 'block-device':
        return makeNode(options, path, header);
      default:
        return false;
    }
  } finally {
    parent.close();
  }
}

async function enterOrMake(tree: Tree, names: readonly string[]): Promise<Directory> {
  try {
    return await tree.enter(names);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const parent = await enterOrMake(tree, names.slice(0, -1));
  try {
    await fs.mkdir(`${parent.path}/${names.at(-1)}`, { mode: directoryMode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    parent.close();
  }
  return tree.enter(names);
}

/** What is there goes, unless it is a mount point, which is written to. */
async function makeRoom(path: string, header: Header): Promise<void> {
  const there = await fs.lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!there) return;
  const isDirectory = header.type === 'directory';
  if (there.isDirectory() !== isDirectory) throw failure('EEXIST', header.name, there.isDirectory() ? 'is a directory there, and is not overwritten by something else' : 'is there and no directory, and is not overwritten by one');
  if (isDirectory) return;
  await fs.unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EBUSY' || !there.isFile()) throw error;
  });
}

async function makeFile(options: ExtractOptions, path: string, header: Header, data: AsyncIterable<Buffer>): Promise<void> {
  const handle = await fs.open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  try {
    for await (const part of data) await writeAll(handle, part);
    const owner = ownerOf(options, header);
    if (owner) await handle.chown(owner.uid, owner.gid);
    await handle.chmod(header.mode & 0o7777);
    await handle.utimes(header.mtime, header.mtime);
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: fs.FileHandle, data: Buffer): Promise<void> {
  for (let at = 0; at < data.length; ) at += (await handle.write(data, at, data.length - at)).bytesWritten;
}

async function makeDirectory(options: ExtractOptions, path: string, header: Header, names: readonly string[]): Promise<void> {
  await fs.mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  // By what it is now, and not by what a link may lead to.
  const directory = await options.tree.enter(names);
  try {
    const owner = ownerOf(options, header);
    if (owner) await fs.chown(`${directory.path}/.`, owner.uid, owner.gid);
    await fs.chmod(`${directory.path}/.`, header.mode & 0o7777);
  } finally {
    directory.close();
  }
}

async function makeLink(tree: Tree, path: string, to: readonly string[]): Promise<void> {
  const from = await tree.enter(to.slice(0, -1));
  try {
    await fs.link(`${from.path}/${to.at(-1) ?? '.'}`, path);
  } finally {
    from.close();
  }
}

const typeBits = { fifo: 0o010000, 'character-device': 0o020000, 'block-device': 0o060000 } as const;

async function makeNode(options: ExtractOptions, path: string, header: Header): Promise<boolean> {
  const { makeNode: make } = options.tree;
  const { type, devmajor, devminor } = header;
  if (!make || !(type in typeBits)) return false;
  const device = ((devmajor & 0xfff) << 8) | (devminor & 0xff) | ((devminor & 0xfff00) << 12);
  make(path, typeBits[type as keyof typeof typeBits] | (header.mode & 0o7777), device);
  await own(options, path, header);
  return true;
}

async function own(options: ExtractOptions, path: string, header: Header): Promise<void> {
  const owner = ownerOf(options, header);
  if (owner) await fs.lchown(path, owner.uid, owner.gid);
}

/** Numbers that a plain header has no room for are in the extended one. */
function ownerOf(options: ExtractOptions, header: Header): ReturnType<ExtractOptions['owner']> {
  const more = (header.pax ?? {}) as { readonly uid?: string; readonly gid?: string };
  return options.owner(Number(more.uid ?? header.uid), Number(more.gid ?? header.gid));
}

async function setTime(tree: Tree, names: readonly string[], header: Header): Promise<void> {
  const directory = await tree.enter(names);
  try {
    await fs.utimes(`${directory.path}/.`, header.mtime, header.mtime);
  } finally {
    directory.close();
  }
}
