/** The side of a copy that is a pod's: tar streams out of it and into it. */
import { Readable } from 'node:stream';
import type { ApiErrorBody, ArchiveResult, FileStat } from '../../model/api.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { ApiClient } from '../client.ts';
import type { End } from '../copy/rules.ts';
import { isErrorCode } from './errors.ts';

export interface PodPath {
  readonly target: string;
  readonly container?: string | undefined;
  readonly path: string;
}

/** `not-found` when there is nothing. */
export async function podSource(client: ApiClient, at: PodPath, follow: boolean): Promise<End> {
  const { type } = await client.get<FileStat>('/v1/archive/stat', { ...at, follow: follow ? true : undefined });
  return { path: at.path, type: type === 'directory' ? 'directory' : 'file' };
}

/** A link counts as what it leads to. What is not there is no failure, but a pod that is not is one. */
export async function podEnd(client: ApiClient, at: PodPath): Promise<End> {
  try {
    return await podSource(client, at, true);
  } catch (error) {
    if (isCode(error, 'not-found') && /in the container$/.test(error.message)) return { path: at.path, type: null };
    throw error;
  }
}

export async function* packPod(client: ApiClient, at: PodPath, as: string | undefined, follow: boolean): AsyncGenerator<Buffer> {
  const response = await client.raw('/v1/archive', { ...at, follow: follow ? true : undefined, as });
  for await (const part of response as AsyncIterable<Buffer>) yield part;
  const trailer = response.trailers['x-tsorch-error'];
  if (trailer !== undefined) throw trailed(trailer);
}

export function extractPod(client: ApiClient, at: PodPath, archive: AsyncIterable<Uint8Array>, owners: boolean): Promise<ArchiveResult> {
  return client.json<ArchiveResult>('PUT', '/v1/archive', { query: { ...at, owners: owners ? true : undefined }, stream: Readable.from(archive, { objectMode: false }), contentType: 'application/x-tar', timeoutMs: 0 });
}

function trailed(text: string): TsorchError {
  try {
    const { error } = JSON.parse(decodeURIComponent(text)) as ApiErrorBody;
    if (isErrorCode(error.code)) return new TsorchError(error.code, error.message);
  } catch {
    // Not ours; that there is one says enough.
  }
  return new TsorchError('unavailable', 'the archive is not whole');
}
