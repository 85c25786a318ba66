/** The terminal or pipe a command runs in. Tests bring their own, so no command touches `process`. */
import type { Readable, Writable } from 'node:stream';

export type Input = Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown };
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Milliseconds since the epoch, for ages. */
  readonly now: () => number;
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

/** Colour is for terminals, unless the user does not want it (https://no-color.org). */
export function wantsColor(io: Io, stream: Output = io.stdout): boolean {
  return stream.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb';
}

export function print(io: Io, text: string): void {
  io.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

export function note(io: Io, text: string): void {
  io.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Waits while the reader is slow, unless we are interrupted. */
export async function writeTo(stream: Output, data: Uint8Array | string, signal: AbortSignal): Promise<void> {
  if (stream.write(data) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      for (const event of ['drain', 'close', 'error']) stream.off(event, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error']) stream.once(event, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
