/** Says what is being done and how long it took: one line per step, in a terminal with a mark that turns. */
import { formatElapsed } from '../../cli/output/values.ts';

export interface Steps {
  /** Runs one step; its answer is shown beside the title. A failure marks the line and is thrown on. */
  step<T>(title: string, run: (say: (detail: string) => void) => Promise<T>, describe?: (value: T) => string): Promise<T>;
}

export interface StepOutput {
  readonly write: (text: string) => unknown;
  readonly isTTY: boolean;
  readonly now: () => number;
}

export function createSteps(out: StepOutput): Steps {
  return {
    async step(title, run, describe = () => '') {
      const started = out.now();
      const line = (mark: string, detail: string) => `${mark} ${title}${detail ? `: ${detail}` : ''}`;
      // A terminal shows the step while it lasts, then its result in the same place; a log shows results alone.
      const show = (detail: string) => void (out.isTTY && out.write(`\r\u001b[2K${line('…', detail)}`));
      const end = (mark: string, detail: string) => void out.write(`${out.isTTY ? '\r\u001b[2K' : ''}${line(mark, detail)} (${formatElapsed(out.now() - started)})\n`);
      show('');
      try {
        const value = await run(show);
        end('✔', describe(value));
        return value;
      } catch (error) {
        end('✘', 'failed');
        throw error;
      }
    },
  };
}
