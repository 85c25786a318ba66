/** Cleaning up that happens however we end: a shell waits for our end of a pipe to close, also when we were killed, and then does it. */
import { spawn, type ChildProcess } from 'node:child_process';

export class Guard {
  readonly #child: ChildProcess;
  readonly #done: Promise<void>;

  /** `script` is for /bin/sh, with `args` as $1, $2, …; what it prints is lost. */
  constructor(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn('sh', ['-c', `trap '' INT TERM HUP; cat >/dev/null\n${script}`, 'sh', ...args], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, env: { ...process.env, ...env } });
    this.#done = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.unref();
  }

  /** Cleans up now. */
  async release(): Promise<void> {
    this.#child.ref();
    this.#child.stdin?.end();
    await this.#done;
  }
}
