/** A world of values for the pure step: containers that exist, a record that survives, and an agent that may die anywhere. */
import type { Assignment } from '../../../../model/assignment.ts';
import { attemptFailed } from '../../../../agent/pods/step/absorb.ts';
import { limitsOf } from '../../../../agent/pods/step/limits.ts';
import { step } from '../../../../agent/pods/step/step.ts';
import { type Action, type Alone, type Answer, type CheckResult, containerId, emptyTimers, neverAlone, newLocal, type Observed, type PodLocal, type StepInput, type StepResult, type Timers } from '../../../../agent/pods/step/types.ts';

export class World {
  assignment: Assignment | null;
  removed = false;
  local: PodLocal;
  timers: Timers = emptyTimers;
  containers = new Map<string, Observed>();
  now = 1000;
  bootId = 'boot-1';
  networkReady = true;
  alone: Alone = neverAlone;
  attached = false;
  forgotten = false;
  oomKilled = new Set<string>();
  /** Every action done, in order. */
  done: Action[] = [];
  /** By container id: how often one came into being. */
  births = new Map<string, number>();
  startsAfterStop = 0;
  /** What checks find; by default that nothing is well unless `healthy`. */
  healthy: boolean | null = null;
  check: (action: Extract<Action, { kind: 'check' }>) => CheckResult | null | 'later' = () => ({ passed: this.healthy === true, output: 'no' });
  hook: (action: Extract<Action, { kind: 'hook' }>) => CheckResult | null | 'later' = () => ({ passed: true, output: '' });
  answers: Answer[] = [];
  last: StepResult | undefined;

  constructor(assignment: Assignment | null) {
    this.assignment = assignment;
    this.local = newLocal(this.bootId, this.now);
  }

  input(): StepInput {
    return {
      podId: this.assignment?.pod.id ?? 'p1',
      node: 'n1',
      assignment: this.assignment,
      removed: this.removed,
      local: this.local,
      timers: this.timers,
      observed: [...this.containers.values()],
      answers: this.answers,
      oomKilled: this.oomKilled,
      networkReady: this.networkReady,
      bootId: this.bootId,
      alone: this.alone,
      now: this.now,
      wall: this.now,
    };
  }

  /** One step, its record kept and its actions done, all but the last `skip` of them: then the agent died. */
  once(skip = 0): StepResult {
    const result = step(this.input());
    this.last = result;
    this.local = result.local;
    this.timers = result.timers;
    this.answers = [];
    const count = Math.max(0, result.actions.length - skip);
    for (const action of result.actions.slice(0, count)) this.perform(action);
    if (skip === 0 && result.actions.some((a) => a.kind === 'release')) this.local = { ...this.local, released: true };
    if (skip > 0) this.restartAgent();
    return result;
  }

  /** Steps until there is nothing to do now. Fails when it does not come to rest. */
  settle(): StepResult {
    for (let i = 0; i < 100; i++) {
      const result = this.once();
      if (result.actions.length === 0 || this.forgotten) return result;
    }
    throw new Error(`no rest: ${JSON.stringify(this.last?.actions)}`);
  }

  /** Lets time pass, waking when the step asked to be. */
  pass(ms: number): StepResult {
    const end = this.now + ms;
    for (;;) {
      const result = this.settle();
      const wake = this.now + (result.wakeIn ?? Infinity);
      if (wake > end || this.forgotten) {
        this.now = end;
        return this.settle();
      }
      this.now = wake;
    }
  }

  restartAgent(): void {
    this.timers = emptyTimers;
    this.answers = [];
  }

  reboot(): void {
    this.containers.clear();
    this.attached = false;
    this.bootId = `${this.bootId}x`;
    this.restartAgent();
  }

  exit(id: string, code: number): void {
    const found = this.containers.get(id);
    if (found?.state === 'running') this.containers.set(id, { ...found, state: 'stopped', exit: { code, at: this.now } });
  }

  running(): string[] {
    return [...this.containers.values()].filter((c) => c.state === 'running').map((c) => c.id);
  }

  perform(action: Action): void {
    this.done.push(action);
    const podId = this.input().podId;
    switch (action.kind) {
      case 'prepare':
        this.timers = { ...this.timers, prepared: true };
        return;
      case 'attach':
        this.attached = true;
        this.timers = { ...this.timers, attached: true };
        return;
      case 'create': {
        const id = containerId(podId, action.container, action.attempt);
        if (this.containers.has(id)) return;
        this.births.set(id, (this.births.get(id) ?? 0) + 1);
        this.containers.set(id, { id, state: 'created', pid: 7 });
        if (this.local.stop) this.startsAfterStop++;
        return;
      }
      case 'start': {
        const id = containerId(podId, action.container, action.attempt);
        const found = this.containers.get(id);
        if (found?.state === 'created') this.containers.set(id, { ...found, state: 'running' });
        if (this.local.stop) this.startsAfterStop++;
        return;
      }
      case 'limit': {
        const container = this.local.containers[action.container];
        const spec = this.assignment?.template.containers.find(({ name }) => name === action.container);
        if (container && spec) this.local = { ...this.local, containers: { ...this.local.containers, [action.container]: { ...container, limits: limitsOf(spec) } } };
        return;
      }
      case 'check': {
        const result = this.check(action);
        if (result !== 'later') this.answer(action, result);
        return;
      }
      case 'hook': {
        const result = this.hook(action);
        if (result !== 'later') this.answer(action, result);
        return;
      }
      case 'signal':
        if (action.signal === 'SIGKILL') this.exit(action.id, 137);
        return;
      case 'remove':
        this.containers.delete(action.id);
        return;
      case 'detach':
        this.attached = false;
        this.timers = { ...this.timers, attached: false };
        return;
      case 'release':
        return;
      case 'forget':
        this.forgotten = true;
    }
  }

  answer(action: Extract<Action, { kind: 'check' | 'hook' }>, result: CheckResult | null): void {
    const { container, attempt } = action;
    this.answers.push(action.kind === 'check' ? { kind: 'check', container, attempt, which: action.which, result } : { kind: 'hook', container, attempt, at: action.at, index: action.index, result });
  }

  failAttempt(name: string, message: string): void {
    if (!this.assignment) return;
    this.local = { ...this.local, containers: { ...this.local.containers, [name]: attemptFailed(this.input(), this.assignment.template, name, message) } };
  }
}
