/** What `image push` is given: a file, standard input, or the name of an image that Docker or containerd on this machine has. */
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { normaliseReference } from '../../lib/oci/reference.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { Io } from '../io.ts';
import type { ArchiveInput } from './archive.ts';
import { openCtr } from './containerd.ts';
import { openDocker } from './docker.ts';

export type From = 'file' | 'docker' | 'containerd';

export interface PushSource extends Pick<ArchiveInput, 'data' | 'file'> {
  /** For people. */
  readonly name: string;
  /** The images' name where the archive need not say it. */
  readonly reference: string | null;
  /** Bytes, about; null when nobody knows. */
  readonly size: number | null;
}

/** Tries a file first, then Docker, then containerd, unless told. Throws `not-found` when nobody has it, with what was tried. */
export async function findSource(io: Io, given: string, from: From | undefined): Promise<PushSource> {
  if (given === '-') return { name: 'standard input', reference: null, data: io.stdin as AsyncIterable<Uint8Array>, file: null, size: null };
  const tried: string[] = [];
  if (from === undefined || from === 'file') {
    const found = await openFile(io, given, tried);
    if (found) return found;
  }
  if (from === undefined || from === 'docker') {
    const found = await attempt(() => inDocker(io, given), tried);
    if (found) return found;
  }
  if (from === undefined || from === 'containerd') {
    const found = await attempt(() => inContainerd(io, given), tried);
    if (found) return found;
  }
  if (from === 'file') throw new TsorchError('not-found', `no file ${given}`, { hint: 'name an archive made by `docker save`' });
  throw new TsorchError('not-found', `there is no image ${given} on this machine: ${tried.join('; ')}`, { hint: 'build it, or name an archive made by `docker save`' });
}

async function openFile(io: Io, given: string, tried: string[]): Promise<PushSource | null> {
  const path = resolve(io.cwd, given);
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw new TsorchError('invalid', `cannot read ${given}: ${error.message}`, { cause: error });
  });
  if (!file) {
    tried.push('no such file');
    return null;
  }
  const { size, isFile, isDirectory } = await file.stat().then((stats) => ({ size: stats.size, isFile: stats.isFile(), isDirectory: stats.isDirectory() }));
  if (isDirectory) {
    await file.close();
    // A directory may well be called as an image is.
    tried.push('the directory of this name is no archive');
    return null;
  }
  const data = file.createReadStream({ autoClose: false, highWaterMark: 1 << 20, ...(isFile ? { start: 0 } : {}) });
  return { name: given, reference: null, data, file: isFile ? file : null, size: isFile ? size : null };
}

async function inDocker(io: Io, given: string): Promise<PushSource | string> {
  const docker = openDocker(io.env);
  const image = await docker.find(given, io.signal);
  if (!image) return `Docker at ${docker.where} has none`;
  return { name: `${given} from Docker`, reference: given, data: await docker.save(given, io.signal), file: null, size: image.size };
}

async function inContainerd(io: Io, given: string): Promise<PushSource | string> {
  const ctr = openCtr(io.env);
  const reference = normaliseReference(given);
  const found = await ctr.find(reference, io.signal);
  if (!found) return 'containerd has none';
  return { name: `${given} from containerd`, reference: given, data: ctr.save(found.namespace, reference, io.signal), file: null, size: null };
}

/** Null when there is nothing to be had there, with why among what was tried. */
async function attempt(look: () => Promise<PushSource | string>, tried: string[]): Promise<PushSource | null> {
  try {
    const found = await look();
    if (typeof found !== 'string') return found;
    tried.push(found);
  } catch (error) {
    if (!isCode(error, 'unavailable') && !isCode(error, 'forbidden') && !isCode(error, 'unsupported') && !isCode(error, 'invalid')) throw error;
    tried.push(describeError(error));
  }
  return null;
}
