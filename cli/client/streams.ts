/** The framings of the API: one JSON value per line, server-sent events, and output of containers. Chunks may split anywhere. */
import { TsorchError } from '../../model/errors.ts';
import { ChunkDecoder, type PodLogChunk } from '../../model/log-chunk.ts';

/** Lines without their ends. A line longer than `limit` is a defect of the other side. */
export async function* lines(chunks: AsyncIterable<Uint8Array | string>, limit = 16 << 20): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    let from = 0;
    for (let at = rest.indexOf('\n', from); at >= 0; at = rest.indexOf('\n', from)) {
      yield rest.slice(from, rest[at - 1] === '\r' ? at - 1 : at);
      from = at + 1;
    }
    rest = rest.slice(from);
    if (rest.length > limit) throw new TsorchError('internal', 'the master sent a line without an end');
  }
  rest += decoder.decode();
  if (rest) yield rest;
}

export async function* jsonLines<T>(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<T> {
  for await (const line of lines(chunks)) {
    if (line.trim()) yield parse<T>(line);
  }
}

/** The `data` of each event, as JSON. Comments keep the connection alive and are skipped. */
export async function* serverSentEvents<T>(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<T> {
  let data: string[] = [];
  for await (const line of lines(chunks)) {
    if (line === '') {
      if (data.length > 0) yield parse<T>(data.join('\n'));
      data = [];
    } else if (line.startsWith('data:')) {
      data.push(line.slice(line[5] === ' ' ? 6 : 5));
    }
  }
}

/** Rejects with `unavailable` when it ends in the middle. */
export async function* logChunks(parts: AsyncIterable<Uint8Array>): AsyncGenerator<PodLogChunk> {
  const decoder = new ChunkDecoder();
  for await (const part of parts) yield* decoder.push(part);
  if (decoder.isTorn) throw new TsorchError('unavailable', 'the connection was lost');
}

function parse<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new TsorchError('internal', `the master sent something that is not JSON: ${text.slice(0, 80)}`, { cause: error });
  }
}
