/** Starts containers and runs scripts in them, for tests that look from the inside. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { type ContainerdHost, request } from './containerd-host.ts';
import { text } from './suite.ts';

export interface Started extends CreateRequest {
  readonly pid: number;
  readonly warnings: readonly string[];
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly warnings: readonly string[];
}

const forever = new AbortController().signal;

export class Shell {
  readonly #host: ContainerdHost;
  readonly #image: ImageHandle;
  readonly #prefix: string;
  readonly #netns: string;
  #number = 0;

  /** Pods are called `<prefix><number>`. */
  constructor(host: ContainerdHost, image: ImageHandle, prefix: string, netns: string) {
    this.#host = host;
    this.#image = image;
    this.#prefix = prefix;
    this.#netns = netns;
  }

  /** Created and started. `rest.id` names it; otherwise it is the only container of a pod of its own. */
  async start(spec: Partial<ContainerSpec>, rest: Partial<CreateRequest> = {}): Promise<Started> {
    const asked = request(rest.id ?? `${this.#prefix}${++this.#number}.c.1`, this.#image, this.#host.logDir, spec, { netns: this.#netns, ...rest });
    await Promise.all([writeFile(asked.stdout, ''), writeFile(asked.stderr, '')]);
    const created = await this.#host.runtime.create(asked);
    await this.#host.runtime.start(asked.id);
    return { ...asked, pid: created.pid, warnings: created.warnings ?? [] };
  }

  /** Runs a script to its end; what it printed. */
  async sh(script: string, spec: Partial<ContainerSpec> = {}, rest: Partial<CreateRequest> = {}): Promise<Ran> {
    const asked = await this.start({ command: ['sh', '-c', script], ...spec }, rest);
    const { code } = await this.#host.runtime.wait(asked.id, forever);
    // Only with its removal has all of its output arrived.
    await this.#host.runtime.remove(asked.id);
    const [out, err] = await Promise.all([readFile(asked.stdout, 'utf8'), readFile(asked.stderr, 'utf8')]);
    return { code, out, err, warnings: asked.warnings };
  }

  /** Runs a script in a container that runs. */
  async exec(id: string, script: string): Promise<string> {
    const process = await this.#host.runtime.exec(id, { argv: ['sh', '-c', script], env: {}, tty: false, stdin: false });
    process.stderr?.resume();
    const out = await text(process.stdout);
    await process.exit;
    return out;
  }

  /** What the kernel says in a file of the container's cgroup. */
  cgroup(asked: CreateRequest, controller: string, file: string, parent = ''): string {
    const { v1, v2 } = this.#host.runtime.context.layout;
    const hierarchy = v1.find((h) => h.controllers.includes(controller))?.directory ?? v2 ?? '';
    return readFileSync(join(hierarchy, this.#host.cgroupPrefix, parent, asked.podId, asked.id, file), 'utf8').trim();
  }
}
