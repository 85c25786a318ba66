/** A command that goes on until it is told to end: what it said last, as it says it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { root, until } from './tsorch.ts';

/** Characters of each output: some say very much. */
const kept = 100_000;

export class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'], cwd: root });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout = (this.stdout + chunk.toString()).slice(-kept)));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr = (this.stderr + chunk.toString()).slice(-kept)));
    this.#child.stdin?.on('error', () => {});
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code) => resolve(code ?? -1));
    });
    this.#ended.catch(() => {});
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until it has said so. */
  async says(what: string | RegExp, timeoutMs = 30_000): Promise<string> {
    const said = () => (typeof what === 'string' ? this.stdout.includes(what) : what.test(this.stdout)) && this.stdout;
    return await until(`it to say ${what}; it has said ${this.stderr}`, said, timeoutMs, 20);
  }

  /** As Ctrl-C does; its exit code. */
  async interrupt(): Promise<number> {
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(timer);
    }
  }
}
