/** The plugin program as a child of a test, and its folders; what it mounted is taken off when the test is over. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listMounts, unmountAll } from '../../../../../lib/linux/mount.ts';

export class PluginProcess {
  readonly root: string;
  readonly #socket: string;
  readonly #scope: string;
  #child: ChildProcess | undefined;

  constructor(socket: string, root: string, scope: 'local' | 'global' = 'local') {
    this.#socket = socket;
    this.root = root;
    this.#scope = scope;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'program.ts'), this.#socket, this.root, this.#scope], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => Promise.reject(new Error('the plugin did not start')))]);
  }

  /** Gone from one moment to the next; its socket stays. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  behave(behaviour: object): void {
    writeFileSync(join(this.root, 'behaviour.json'), JSON.stringify(behaviour));
  }

  /** `Mount data`, without ids and without questions. */
  calls(): readonly string[] {
    const file = join(this.root, 'calls');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    return lines.map((line) => line.replace(/^VolumeDriver\./, '').split(' ').slice(0, 2).join(' ')).filter((line) => /^(Create|Mount|Unmount|Remove) /.test(line));
  }

  async dispose(): Promise<void> {
    await this.kill();
    for (const { target } of listMounts()) if (target.startsWith(`${this.root}/`)) unmountAll(target);
    rmSync(this.root, { recursive: true, force: true });
    rmSync(this.#socket, { force: true });
  }
}
