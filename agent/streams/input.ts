/**
 * What the other side sends to a process: input, the size of a terminal, signals. All of it is read as it comes, so that a signal or
 * hanging up is not stuck behind input that nobody takes: senders keep to a window (model/api.ts, inputWindow).
 */
import { inputWindow } from '../../model/api.ts';
import type { FrameStream } from './frames.ts';

export interface InputSink {
  /** null: input has nowhere to go and is let pass. */
  readonly stdin: NodeJS.WritableStream | null;
  readonly resize?: (width: number, height: number) => Promise<void>;
  readonly signal?: (signal: number) => Promise<void>;
}

const mostSignal = 64;
/** So much is taken before it is told of, or all there is. */
const acknowledge = inputWindow / 8;

/** Ends with the input, whose end it passes on; `detached` when whoever was there has left on purpose. */
export async function feedInput(stream: FrameStream, { stdin, resize, signal }: InputSink): Promise<'ended' | 'detached'> {
  let [waiting, taken] = [0, 0];
  const wrote = (bytes: number) => {
    waiting -= bytes;
    taken += bytes;
    if (taken < acknowledge && waiting > 0) return;
    void stream.send({ $case: 'taken', value: taken }).catch(() => {});
    taken = 0;
  };
  stdin?.on('error', () => {});
  for await (const frame of stream.incoming()) {
    switch (frame.$case) {
      case 'stdin': {
        const { length } = frame.value;
        waiting += length;
        if (!stdin) wrote(length);
        else {
          stdin.write(frame.value, () => wrote(length));
          // Whoever does not keep to the window waits here.
          if (waiting > 2 * inputWindow) await new Promise<void>((resolve) => void stdin.once('drain', resolve).once('close', resolve));
        }
        break;
      }
      case 'stdinEnd':
        stdin?.end();
        break;
      case 'resize':
        await resize?.(frame.value.width, frame.value.height).catch(() => {});
        break;
      case 'signal':
        if (frame.value >= 1 && frame.value <= mostSignal) await signal?.(frame.value).catch(() => {});
        break;
      case 'detach':
        return 'detached';
      default:
        break;
    }
  }
  stdin?.end();
  return 'ended';
}
