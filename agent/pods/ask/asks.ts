/** The checks and hooks of one pod that are under way. Their answers are kept until a step has taken them in. */
import type { Clock } from '../../../lib/clock.ts';
import type { Log } from '../../../lib/log.ts';
import { describeError } from '../../../model/errors.ts';
import type { Hook } from '../../../model/spec.ts';
import type { ExecRequest, Runtime } from '../../runtime/port.ts';
import { type Action, type Answer, type CheckResult, containerId } from '../step/types.ts';
import { type CommandResult, runCommand } from './command.ts';
import { askGrpc } from './grpc.ts';
import { askHttp } from './http.ts';
import type { Place } from './place.ts';
import { askTcp } from './tcp.ts';

export interface AsksOptions {
  readonly podId: string;
  readonly runtime: Pick<Runtime, 'exec'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where a container of the pod is asked. */
  readonly place: (container: string, host?: string) => Place;
  /** An answer has come. */
  readonly answered: () => void;
}

type CheckAction = Extract<Action, { kind: 'check' }>;
type HookAction = Extract<Action, { kind: 'hook' }>;

export class Asks {
  readonly #options: AsksOptions;
  readonly #hooks = new Map<string, AbortController>();
  #answers: Answer[] = [];

  constructor(options: AsksOptions) {
    this.#options = options;
  }

  /** All that have come and are not taken in yet. */
  get answers(): readonly Answer[] {
    return this.#answers;
  }

  /** A step has taken these in. */
  taken(count: number): void {
    this.#answers = this.#answers.slice(count);
  }

  check(action: CheckAction): void {
    const { container, attempt, which } = action;
    void this.#ask(action).then((result) => this.#answer({ kind: 'check', container, attempt, which, result }));
  }

  hook(action: HookAction): void {
    const { podId, runtime, log, signal } = this.#options;
    const { container, attempt, at, index, hook } = action;
    const id = containerId(podId, container, attempt);
    const end = new AbortController();
    this.#hooks.set(id, end);
    void runCommand(runtime, id, hookRequest(hook), AbortSignal.any([signal, end.signal]), 'it did not end in time').then((ran) => {
      const result = ran && { passed: ran.code === 0, output: [ran.code === null ? '' : `exit code ${ran.code}`, ran.output].filter(Boolean).join(': ') };
      if (this.#hooks.get(id) === end) this.#hooks.delete(id);
      if (signal.aborted) return;
      if (at === 'preStop' && result && !result.passed) log.warn('pre_stop hook failed', { pod: podId, container, hook: index + 1, output: result.output });
      this.#answer({ kind: 'hook', container, attempt, at, index, result });
    });
  }

  /** The container's signal goes out: a hook that still runs has had its time. */
  endHook(id: string): void {
    this.#hooks.get(id)?.abort();
  }

  #answer(answer: Answer): void {
    if (this.#options.signal.aborted) return;
    this.#answers = [...this.#answers, answer];
    this.#options.answered();
  }

  async #ask({ container, attempt, ask, timeoutMs }: CheckAction): Promise<CheckResult | null> {
    const { podId, runtime, clock, signal, place } = this.#options;
    const late = `no answer in ${timeoutMs} ms`;
    const over = new AbortController();
    const stop = () => over.abort();
    signal.addEventListener('abort', stop, { once: true });
    const timer = new AbortController();
    clock.sleep(timeoutMs, timer.signal).then(stop, () => {});
    try {
      switch (ask.kind) {
        case 'exec':
          return checked(await runCommand(runtime, containerId(podId, container, attempt), { argv: ask.argv, env: {}, tty: false, stdin: false }, over.signal, late));
        case 'http':
          return await askHttp(ask, place(container, ask.host), over.signal, late);
        case 'tcp':
          return await askTcp(ask, place(container, ask.host), over.signal, late);
        case 'grpc':
          return await askGrpc(ask, place(container), over.signal, late);
      }
    } catch (error) {
      return { passed: false, output: describeError(error) };
    } finally {
      signal.removeEventListener('abort', stop);
      timer.abort();
    }
  }
}

function checked(ran: CommandResult | null): CheckResult | null {
  return ran && { passed: ran.code === 0, output: ran.code === 0 ? '' : ran.output || `exit code ${ran.code}` };
}

function hookRequest({ command, user, workingDir, env, privileged }: Hook): ExecRequest {
  return {
    argv: command.kind === 'shell' ? ['/bin/sh', '-c', command.command] : command.argv,
    env,
    tty: false,
    stdin: false,
    ...(user === undefined ? {} : { user }),
    ...(workingDir === undefined ? {} : { workingDir }),
    ...(privileged ? { privileged } : {}),
  };
}
