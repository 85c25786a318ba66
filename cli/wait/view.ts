/** The same progress, shown twice: a block that redraws itself in a terminal, a line per change in a pipe. */
import { wantsColor, type Io } from '../io.ts';
import { painter, plain, type Paint, type Style } from '../output/color.ts';
import { formatElapsed } from '../output/values.ts';
import type { Progress } from './progress.ts';

export interface ProgressView {
  show(progress: readonly Progress[], elapsedMs: number): void;
  end(): void;
}

export function createProgressView(io: Io): ProgressView {
  return io.stdout.isTTY ? liveView(io) : lineView(io);
}

const styles: Readonly<Record<Progress['state'], Style>> = { ready: 'green', waiting: 'yellow', failed: 'red' };

function lineView(io: Io): ProgressView {
  const said = new Map<string, string>();
  return {
    show(progress, elapsedMs) {
      for (const each of progress) {
        const text = `${each.id} ${each.ready}/${each.desired} ${describe(each)}`;
        if (said.get(each.id) === text) continue;
        said.set(each.id, text);
        io.stdout.write(`${text}${each.state === 'ready' ? ` after ${formatElapsed(elapsedMs)}` : ''}\n`);
      }
    },
    end() {},
  };
}

function liveView(io: Io): ProgressView {
  const paint = painter(wantsColor(io));
  let drawn = 0;
  const doneAt = new Map<string, number>();
  return {
    show(progress, elapsedMs) {
      const widest = Math.max(...progress.map((each) => each.id.length));
      const rows = progress.map((each) => {
        if (each.state === 'ready' && !doneAt.has(each.id)) doneAt.set(each.id, elapsedMs);
        return row(each, widest, doneAt.get(each.id) ?? elapsedMs, paint, io.stdout.columns ?? 80);
      });
      const up = drawn > 0 ? `\u001b[${drawn}A` : '';
      io.stdout.write(`${up}${rows.map((text) => `\r\u001b[2K${text}\n`).join('')}\u001b[J`);
      drawn = rows.length;
    },
    end() {
      drawn = 0;
    },
  };
}

function row(progress: Progress, widest: number, elapsedMs: number, paint: Paint, columns: number): string {
  const mark = progress.state === 'ready' ? '✔' : progress.state === 'failed' ? '✘' : '…';
  const head = `${mark} ${progress.id.padEnd(widest)}  ${progress.ready}/${progress.desired}  `;
  const tail = `  ${formatElapsed(elapsedMs)}`;
  // One terminal line each, or moving the cursor up would miss.
  const text = describe(progress).slice(0, Math.max(0, columns - head.length - tail.length - 1));
  return `${paint(styles[progress.state], head)}${text}${paint('dim', tail)}`;
}

function describe(progress: Progress): string {
  const more = progress.reasons.length > 1 ? ` (and ${progress.reasons.length - 1} more)` : '';
  return progress.reasons[0] ? plain(`${progress.state}: ${progress.reasons[0]}${more}`) : progress.state;
}
