/** One output file read as it grows, byte by byte and not line by line: for people who are attached. */
import fs from 'node:fs/promises';
import type { LiveFile, Pin } from './live.ts';

const blockBytes = 64 * 1024;

export interface TapOptions {
  readonly live: LiveFile;
  /** Where to begin; the file's size at the call unless told. */
  readonly from?: number;
  /** Fires when nobody reads any more. */
  readonly signal: AbortSignal;
  /** Bytes that were given up before they were read. */
  readonly lost: (bytes: number) => void;
}

/** Each block is good until the next one is asked for. */
export async function* tap({ live, from, signal, lost }: TapOptions): AsyncGenerator<{ readonly data: Buffer; readonly end: number }> {
  const pin: Pin = { position: from ?? live.size };
  const handle = await fs.open(live.file, 'r');
  const leave = live.pin(pin);
  const block = Buffer.allocUnsafeSlow(blockBytes);
  try {
    while (!signal.aborted) {
      const grown = growth(live, AbortSignal.any([live.over, signal]));
      // Asked before reading: what is written until then is not missed.
      const isOver = live.over.aborted;
      for (;;) {
        const { bytesRead } = await handle.read(block, 0, block.length, pin.position);
        if (live.head > pin.position) {
          lost(live.head - pin.position);
          pin.position = live.head;
          continue;
        }
        if (bytesRead === 0 || signal.aborted) break;
        pin.position += bytesRead;
        yield { data: block.subarray(0, bytesRead), end: pin.position };
      }
      if (isOver) return;
      live.rotateIfDue();
      await grown;
      // Emptied by hand: it begins anew.
      if (live.size < pin.position) pin.position = 0;
    }
  } finally {
    leave();
    await handle.close();
  }
}

function growth(live: LiveFile, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      leave();
      until.removeEventListener('abort', done);
      resolve();
    };
    const leave = live.subscribe(done);
    if (until.aborted) done();
    else until.addEventListener('abort', done, { once: true });
  });
}
