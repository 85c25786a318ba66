/** Compose health checks as a state machine: when the next one is due, and what its result means. */
import type { Healthcheck, HealthcheckOverride } from '../../../model/spec.ts';
import type { CheckResult, CheckState } from './types.ts';

/** The first check of a container that is up since `since`. */
export function newHealth(check: Healthcheck, since: number): CheckState {
  return { since, askedAt: since, due: since + gap(check, { since, passed: false }, since), running: false, failures: 0, successes: 0, passed: false, output: '' };
}

/** The shortest time between two checks of a container that starts. */
export const eagerMs = 200;

/** After a check. Failures while it starts count only when it has passed before. */
export function afterHealth(state: CheckState, check: Healthcheck, result: CheckResult, now: number): CheckState {
  const passed = state.passed || result.passed;
  const counts = passed || !starts(check, now - state.since);
  const failures = result.passed ? 0 : state.failures + (counts ? 1 : 0);
  return { ...state, failures, successes: result.passed ? state.successes + 1 : 0, passed, running: false, output: result.output, due: now + gap(check, { since: state.since, passed }, now) };
}

export function healthOf(state: CheckState, check: Healthcheck, before: 'starting' | 'healthy' | 'unhealthy' | null): 'starting' | 'healthy' | 'unhealthy' {
  if (state.failures >= Math.max(1, check.retries)) return 'unhealthy';
  if (state.passed) return 'healthy';
  // An adopted container stays what it was until its first check here.
  return before ?? 'starting';
}

/**
 * Until the first interval and the start period are over a container is checked sooner, at growing gaps, so that it serves
 * as soon as it can; an engine that checks once per interval would not have failed it by then, so neither is it failed here.
 */
function starts(check: Healthcheck, elapsed: number): boolean {
  return elapsed < Math.max(check.startPeriodMs, check.intervalMs);
}

function gap(check: Healthcheck, state: Pick<CheckState, 'since' | 'passed'>, now: number): number {
  const elapsed = now - state.since;
  if (state.passed || !starts(check, elapsed)) return check.intervalMs;
  const most = check.startIntervalMs > 0 ? Math.min(check.startIntervalMs, check.intervalMs) : check.intervalMs;
  return Math.min(Math.max(eagerMs, elapsed), most);
}

/** The check that applies: the spec's, else the image's, with the spec's times; null when there is none or it is switched off. */
export function effectiveCheck(spec: Healthcheck | HealthcheckOverride | undefined, image: Healthcheck | undefined): Healthcheck | null {
  const check = spec === undefined ? image : spec.test.kind === 'image' ? image && { ...image, ...spec, test: image.test } : (spec as Healthcheck);
  return !check || check.test.kind === 'none' ? null : check;
}

/** Docker's extension of the image configuration (nanoseconds, 0 for the default) as a health check. */
export function imageHealthcheck(
  found: { readonly test: readonly string[]; readonly interval?: number; readonly timeout?: number; readonly startPeriod?: number; readonly startInterval?: number; readonly retries?: number } | undefined,
): Healthcheck | undefined {
  const [kind, ...rest] = found?.test ?? [];
  if (!found || !kind || kind === 'NONE' || rest.length === 0) return undefined;
  const ms = (ns: number | undefined, standard: number) => (ns ? ns / 1e6 : standard);
  return {
    test: kind === 'CMD-SHELL' ? { kind: 'shell', command: rest.join(' ') } : { kind: 'exec', argv: rest },
    intervalMs: ms(found.interval, 30_000),
    timeoutMs: ms(found.timeout, 30_000),
    startPeriodMs: ms(found.startPeriod, 0),
    startIntervalMs: ms(found.startInterval, 5000),
    retries: found.retries || 3,
  };
}
