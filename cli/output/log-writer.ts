/** Output of pods on a terminal or in a pipe: the bytes as they were, or line by line with who said it in front. */
import type { PodLogChunk } from '../../model/log-chunk.ts';
import { wantsColor, writeTo, type Io, type Output } from '../io.ts';
import { painter, styleOf } from './color.ts';

export interface LogWriterOptions {
  readonly timestamps: boolean;
  /** Say which pod, and which container of one that has several. */
  readonly pods: boolean;
  readonly containers: boolean;
}

/** Lines of one output, of which the last may lack its end. */
interface Sink {
  readonly stream: Output;
  unfinished: string | null;
}

/**
 * What a pod wrote to stderr goes to stderr. The bytes of one stream come out as they went in, with whatever is wanted at the
 * beginning of each line; only where another stream cuts in is an unfinished line ended.
 */
export function logWriter(io: Io, options: LogWriterOptions): (chunk: PodLogChunk) => Promise<void> {
  const stdout: Sink = { stream: io.stdout, unfinished: null };
  // Two outputs on one terminal are one.
  const stderr: Sink = io.stdout.isTTY && io.stderr.isTTY && io.stdout === io.stderr ? stdout : { stream: io.stderr, unfinished: null };
  let widest = 0;
  const headOf = (chunk: PodLogChunk, paint: ReturnType<typeof painter>): string => {
    let head = '';
    const name = [options.pods ? chunk.pod : '', options.containers && chunk.several && !chunk.notice ? chunk.container : ''].filter(Boolean).join(' ');
    if (name !== '') {
      widest = Math.max(widest, name.length);
      head = `${paint(styleOf(name), `${name.padEnd(widest)} |`)} `;
    }
    return options.timestamps ? `${head}${paint('dim', new Date(chunk.time).toISOString())} ` : head;
  };
  return async (chunk) => {
    const sink = chunk.stream === 'stderr' ? stderr : stdout;
    const paint = painter(wantsColor(io, sink.stream));
    const key = chunk.notice ? 'notice' : `${chunk.podId} ${chunk.container} ${chunk.attempt} ${chunk.stream}`;
    const cutIn = sink.unfinished !== null && sink.unfinished !== key;
    const head = headOf(chunk, paint);
    const bytes = Buffer.from(chunk.data.buffer, chunk.data.byteOffset, chunk.data.byteLength);
    const ended = bytes.at(-1) === 10;
    let out: Buffer = bytes;
    if (head !== '' || cutIn) {
      // One byte is one character here, so that nothing of what is no text is lost.
      const lead = Buffer.from(head).toString('latin1');
      const text = bytes.toString('latin1');
      const body = lead === '' ? text : (ended ? text.slice(0, -1) : text).replaceAll('\n', `\n${lead}`) + (ended ? '\n' : '');
      out = Buffer.from(`${cutIn ? '\n' : ''}${sink.unfinished === key ? '' : lead}${body}`, 'latin1');
    }
    sink.unfinished = ended ? null : key;
    await writeTo(sink.stream, out, io.signal);
  };
}
