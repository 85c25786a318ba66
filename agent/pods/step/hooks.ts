/** postStart hooks: run in the started container, one after the other. A failure ends the attempt. */
import type { ContainerSpec, Hook } from '../../../model/spec.ts';
import { localOf, running, specsOf } from './containers.ts';
import { least, type Progress } from './progress.ts';
import type { Action, Answer, ContainerLocal, HookTimer, Plan, StepInput } from './types.ts';

/** After a hook that could not be begun for a reason that is not the container's. */
export const hookAgainMs = 1000;

export function runHooks(input: StepInput, plan: Plan, before: Pick<Progress, 'containers' | 'timers'>): Progress {
  let { timers } = before;
  const actions: Action[] = [];
  const wakes: number[] = [];
  for (const spec of specsOf(plan)) {
    const container = localOf(before, spec.name);
    const index = container.hooksDone ?? 0;
    const hook = spec.postStart?.[index];
    if (!hook || container.condemned !== undefined || !running(input, spec.name, container)) continue;
    const timer = hookTimerOf(timers.hooks[spec.name], container, input.now);
    if (timer.running) continue;
    if (timer.due > input.now) wakes.push(timer.due - input.now);
    else {
      actions.push({ kind: 'hook', container: spec.name, attempt: container.attempt, at: 'postStart', index, hook });
      timers = { ...timers, hooks: { ...timers.hooks, [spec.name]: { ...timer, running: true } } };
    }
  }
  return { containers: before.containers, timers, actions, wakeIn: least(wakes) };
}

/** Takes an answer in; one of another attempt, or of a hook that is not under way, says nothing. */
export function takeHook(answer: Extract<Answer, { kind: 'hook' }>, spec: ContainerSpec, container: ContainerLocal, timer: HookTimer | undefined, now: number): { readonly container: ContainerLocal; readonly timer: HookTimer | undefined } {
  const index = container.hooksDone ?? 0;
  if (timer?.attempt !== answer.attempt || !timer.running || answer.index !== index) return { container, timer };
  if (!answer.result) return { container, timer: { ...timer, running: false, due: now + hookAgainMs } };
  const over: HookTimer = { ...timer, running: false, due: now };
  if (answer.result.passed) return { container: { ...container, hooksDone: index + 1 }, timer: over };
  const { output } = answer.result;
  const which = `post_start hook${(spec.postStart?.length ?? 0) > 1 ? ` ${index + 1}` : ''}`;
  const hook = spec.postStart?.[index];
  return { container: { ...container, condemned: `${which} (${hook ? describeHook(hook) : ''}) failed: ${output}` }, timer: over };
}

/** The beginning of its command, for people. */
export function describeHook({ command }: Hook): string {
  const text = command.kind === 'shell' ? command.command : command.argv.join(' ');
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > 60 ? `${line.slice(0, 57)}...` : line;
}

function hookTimerOf(known: HookTimer | undefined, { attempt }: ContainerLocal, now: number): HookTimer {
  return known?.attempt === attempt ? known : { attempt, running: false, due: now };
}
