/** All checks of a container that is up: which of them are due, and what their answers make of it. */
import type { ContainerSpec, Healthcheck, Probe } from '../../../model/spec.ts';
import { isUp, localOf } from './containers.ts';
import { afterHealth, effectiveCheck, healthOf, newHealth } from './health.ts';
import { afterProbe, newProbe, verdictOf } from './probe.ts';
import type { Action, Answer, Checks, CheckState, ContainerLocal, Plan, StepInput, Timers, Which } from './types.ts';
import { least, type Progress } from './progress.ts';

/** After a question that could not be asked. */
const askAgainMs = 1000;

/** Asks what is due. A container that a check gave up on is condemned, and its restart policy decides what follows. */
export function runChecks(input: StepInput, plan: Plan, before: Pick<Progress, 'containers' | 'timers'>): Progress {
  let { containers, timers } = before;
  const actions: Action[] = [];
  const wakes: number[] = [];
  for (const spec of plan.containers) {
    const container = localOf({ containers }, spec.name);
    if (container.condemned !== undefined || !isUp(input, spec, container)) continue;
    const wanted = wantedChecks(spec, container);
    if (wanted.length === 0) continue;
    const own = checksOf(timers, spec.name, container, input.now);
    const states: Partial<Record<Which, CheckState>> = {};
    for (const { which, ask, timeoutMs, fresh } of wanted) {
      let state = own.states[which] ?? fresh(own.since, input.now);
      if (!state.running && state.due <= input.now) {
        state = { ...state, running: true, askedAt: input.now };
        actions.push({ kind: 'check', container: spec.name, attempt: container.attempt, which, ask, timeoutMs });
      } else if (!state.running) wakes.push(state.due - input.now);
      states[which] = state;
    }
    if (wanted.some(({ which }) => which === 'health') && container.health === null) containers = { ...containers, [spec.name]: { ...container, health: 'starting' } };
    if (own !== timers.checks[spec.name] || wanted.some(({ which }) => states[which] !== own.states[which])) {
      timers = { ...timers, checks: { ...timers.checks, [spec.name]: { ...own, states: { ...own.states, ...states } } } };
    }
  }
  return { containers, timers, actions, wakeIn: least(wakes) };
}

/** Takes an answer in. The container must be up still; one that comes too late says nothing. */
export function takeCheck(answer: Extract<Answer, { kind: 'check' }>, spec: ContainerSpec, container: ContainerLocal, checks: Checks, now: number): { readonly container: ContainerLocal; readonly checks: Checks } {
  const { which, result } = answer;
  const state = checks.states[which];
  if (!state?.running) return { container, checks };
  const put = (next: CheckState): Checks => ({ ...checks, states: { ...checks.states, [which]: next } });
  if (!result) return { container, checks: put({ ...state, running: false, due: now + askAgainMs }) };
  if (which === 'health') {
    const check = effectiveCheck(spec.healthcheck, container.image?.healthcheck);
    if (!check) return { container, checks };
    const next = afterHealth(state, check, result, now);
    const health = healthOf(next, check, container.health);
    return { checks: put(next), container: { ...container, health, ...(health === 'unhealthy' ? condemned('unhealthy', next) : {}) } };
  }
  const probe = { startup: spec.startupProbe, readiness: spec.readinessProbe, liveness: spec.livenessProbe }[which];
  if (!probe) return { container, checks };
  const next = afterProbe(state, probe, which, result, now);
  return { checks: put(next), container: judged(container, which, verdictOf(next, probe), next) };
}

function judged(container: ContainerLocal, which: Exclude<Which, 'health'>, verdict: 'passing' | 'failing' | null, state: CheckState): ContainerLocal {
  if (verdict === null) return container;
  switch (which) {
    case 'readiness':
      return { ...container, probedReady: verdict === 'passing' };
    case 'startup':
      return verdict === 'passing' ? { ...container, startupPassed: true } : { ...container, ...condemned('startup probe failed', state) };
    case 'liveness':
      return verdict === 'passing' ? container : { ...container, ...condemned('liveness probe failed', state) };
  }
}

function condemned(what: string, { output }: CheckState): { readonly condemned: string } {
  return { condemned: output === '' ? what : `${what}: ${output}` };
}

function checksOf(timers: Timers, name: string, { attempt }: ContainerLocal, now: number): Checks {
  const known = timers.checks[name];
  return known?.attempt === attempt ? known : { attempt, since: now, states: {} };
}

interface WantedCheck {
  readonly which: Which;
  readonly ask: Probe['ask'];
  readonly timeoutMs: number;
  readonly fresh: (upSince: number, now: number) => CheckState;
}

/** Liveness and readiness are asked once the startup probe has passed. */
function wantedChecks(spec: ContainerSpec, container: ContainerLocal): readonly WantedCheck[] {
  const wanted: WantedCheck[] = [];
  const check = effectiveCheck(spec.healthcheck, container.image?.healthcheck);
  if (check) wanted.push({ which: 'health', ask: { kind: 'exec', argv: argvOf(check.test) }, timeoutMs: check.timeoutMs, fresh: (since) => newHealth(check, since) });
  const add = (which: Exclude<Which, 'health'>, probe: Probe | undefined) => {
    if (probe) wanted.push({ which, ask: probe.ask, timeoutMs: probe.timeoutMs, fresh: (since, now) => newProbe(probe, since, now) });
  };
  if (spec.startupProbe && container.startupPassed !== true) add('startup', spec.startupProbe);
  else {
    add('readiness', spec.readinessProbe);
    add('liveness', spec.livenessProbe);
  }
  return wanted;
}

function argvOf(test: Healthcheck['test']): readonly string[] {
  switch (test.kind) {
    case 'shell':
      return ['/bin/sh', '-c', test.command];
    case 'exec':
      return test.argv;
    case 'none':
      return [];
  }
}
