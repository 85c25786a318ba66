/** What a host serves of its volumes: the tree of one that moves, to the node it is offered to. */
import type { Position } from '../volumes/move/format.ts';
import { isCount } from '../state.ts';

export interface ServedVolumes {
  /** Throws `forbidden` when it is not offered to that node for that move; the stream's own failures come later. */
  open(node: string, name: string, move: string, from: Position, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface VolumeRequest {
  readonly name: string;
  readonly move: string;
  readonly from: Position;
}

/** `/v1/volumes/<name>?move=&entries=&last=&offset=`; `last` is a path of bytes, base64url. */
export function volumePath({ name, move, from }: VolumeRequest): string {
  const last = Buffer.from(from.last, 'latin1').toString('base64url');
  return `/v1/volumes/${encodeURIComponent(name)}?move=${encodeURIComponent(move)}&entries=${from.entries}&last=${last}&offset=${from.offset}`;
}

/** Null when it is no such path. */
export function parseVolumePath(text: string): VolumeRequest | null {
  const [, name = '', query = ''] = /^\/v1\/volumes\/([A-Za-z0-9_.%-]{1,300})\?(.*)$/.exec(text) ?? [];
  const params = new URLSearchParams(query);
  const [entries, offset] = [Number(params.get('entries')), Number(params.get('offset'))];
  if (name === '' || !params.get('move') || !isCount(entries) || !isCount(offset)) return null;
  return { name: decodeURIComponent(name), move: params.get('move') ?? '', from: { entries, last: Buffer.from(params.get('last') ?? '', 'base64url').toString('latin1'), offset } };
}
