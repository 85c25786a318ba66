/** How a push is shown: a block that redraws itself in a terminal, a line for each thing that is done in a pipe. */
import { wantsColor, type Io } from '../io.ts';
import { painter, plain } from '../output/color.ts';
import { width } from '../output/table.ts';
import { formatBytes } from '../output/values.ts';

export interface PushView {
  /** How far something is, by its name; `text` for things that have no size. */
  progress(name: string, state: { readonly bytes: number; readonly total: number | null } | { readonly text: string }): void;
  /** It is over; the line stays. */
  done(name: string, text: string): void;
  failed(name: string, text: string): void;
  /** A line of its own. */
  say(text: string): void;
  /** Whatever is still shown as under way is no more. */
  end(): void;
}

export function createPushView(io: Io): PushView {
  return io.stdout.isTTY ? liveView(io) : lineView(io);
}

function lineView(io: Io): PushView {
  return {
    progress() {},
    done: (name, text) => void io.stdout.write(`${plain(name)}: ${plain(text)}\n`),
    failed: (name, text) => void io.stderr.write(`error: ${plain(name)}: ${plain(text)}\n`),
    say: (text) => void io.stdout.write(`${plain(text)}\n`),
    end() {},
  };
}

const redrawMs = 80;
const barCells = 20;

function liveView(io: Io): PushView {
  const paint = painter(wantsColor(io));
  const rows = new Map<string, string>();
  let drawn = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = (above = '') => {
    const widest = Math.max(0, ...Array.from(rows.keys(), width));
    const most = (io.stdout.columns ?? 80) - 1;
    const lines = Array.from(rows, ([name, text]) => `  ${name.padEnd(widest)}  ${text}`.slice(0, most));
    const up = drawn > 0 ? `\u001b[${drawn}A` : '';
    io.stdout.write(`${up}\r\u001b[J${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
    drawnAt = io.now();
  };
  return {
    progress(name, state) {
      const known = rows.has(plain(name));
      rows.set(plain(name), 'text' in state ? plain(state.text) : bar(state));
      if (!known || io.now() - drawnAt >= redrawMs) draw();
    },
    done(name, text) {
      rows.delete(plain(name));
      draw(`${paint('green', '✔')} ${plain(name)}: ${plain(text)}\n`);
    },
    failed(name, text) {
      rows.delete(plain(name));
      draw(`${paint('red', '✘')} ${plain(name)}: ${plain(text)}\n`);
    },
    say(text) {
      draw(`${plain(text)}\n`);
    },
    end() {
      rows.clear();
      draw();
      drawn = 0;
    },
  };
}

function bar({ bytes, total }: { readonly bytes: number; readonly total: number | null }): string {
  if (total === null || total === 0) return formatBytes(bytes);
  const share = Math.min(1, bytes / total);
  const full = Math.round(share * barCells);
  return `[${'='.repeat(full)}${' '.repeat(barCells - full)}] ${String(Math.floor(share * 100)).padStart(3)} %  ${formatBytes(bytes)}/${formatBytes(total)}`;
}
