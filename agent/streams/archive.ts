/**
 * Files of running containers. `archive-stat`: one `message`, FileStat. `archive-get`: the path as a tar stream in `stdout` frames.
 * `archive-put`: `stdin` frames are a tar stream for a directory; one `message`, ArchiveResult. Parameters: ArchiveStreamParams.
 */
import type { ArchiveResult, ArchiveStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { extractTree } from '../../lib/tar/extract.ts';
import { packTree } from '../../lib/tar/pack.ts';
import { ContainerFiles, fileFailure } from './container-files.ts';
import { type FrameStream, inputBytes } from './frames.ts';
import type { StreamContext } from './serve.ts';
import { runningContainer } from './targets.ts';

/** More are only counted. */
const mostSkipped = 20;

export async function serveArchiveStat(stream: FrameStream, params: ArchiveStreamParams, context: StreamContext): Promise<void> {
  stream.discardInput();
  await withFiles(params, context, async (files) => {
    await stream.send({ $case: 'message', value: JSON.stringify(files.stat(params.path, params.follow === true)) });
  });
  await stream.done(0);
}

export async function serveArchiveGet(stream: FrameStream, params: ArchiveStreamParams, context: StreamContext): Promise<void> {
  stream.discardInput();
  const signal = AbortSignal.any([stream.over, context.signal]);
  await withFiles(params, context, async (files) => {
    // A path that is not there is told of before anything is sent.
    const stat = files.stat(params.path, params.follow === true);
    const { directory, name } = files.resolve(params.path, params.follow === true);
    const opened = files.tree(directory);
    const { tree } = opened;
    try {
      const contents = /\/\.$|^\.$/.test(params.path) && stat.type === 'directory';
      const as = params.as ?? (contents || name === '' ? '.' : name);
      for await (const part of packTree({ tree, directory: [], name, as, owner: (uid, gid) => files.inside(uid, gid), signal })) await stream.send({ $case: 'stdout', value: part });
    } finally {
      opened.close();
    }
  });
  await stream.done(0);
}

export async function serveArchivePut(stream: FrameStream, params: ArchiveStreamParams, context: StreamContext): Promise<void> {
  const result = await withFiles(params, context, async (files): Promise<ArchiveResult> => {
    const { path, type } = files.stat(params.path, true);
    if (type !== 'directory') throw new TsorchError('invalid', `${params.path} is no directory in the container`);
    const opened = files.tree(path);
    const { tree } = opened;
    try {
      const root = files.outside(0, 0);
      const owner = (uid: number, gid: number) => (params.owners ? files.outside(uid, gid) : root);
      const { entries, bytes, skipped } = await extractTree(inputBytes(stream.incoming()), { tree, owner });
      return { entries, bytes, skipped: skipped.slice(0, mostSkipped) };
    } finally {
      opened.close();
    }
  });
  await stream.send({ $case: 'message', value: JSON.stringify(result) });
  await stream.done(0);
}

async function withFiles<T>(params: ArchiveStreamParams, context: StreamContext, use: (files: ContainerFiles) => Promise<T>): Promise<T> {
  const files = await ContainerFiles.open(runningContainer(context, params).pid);
  try {
    return await use(files);
  } catch (error) {
    throw fileFailure(error, params.path);
  } finally {
    files.close();
  }
}
