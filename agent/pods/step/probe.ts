/** Kubernetes' probes as a state machine: when one is asked again, and when its answers decide. */
import type { Probe } from '../../../model/spec.ts';
import { eagerMs } from './health.ts';
import type { CheckResult, CheckState, Which } from './types.ts';

type ProbeKind = Exclude<Which, 'health'>;

/** Of a container that is up since `upSince`; the initial delay counts from there. */
export function newProbe(probe: Probe, upSince: number, now: number): CheckState {
  const since = Math.max(now, upSince + probe.initialDelayMs);
  return { since, askedAt: since, due: since, running: false, failures: 0, successes: 0, passed: false, output: '' };
}

/**
 * After an answer. A period goes from question to question. Until a container has passed for the first time and its first period is
 * over, it is asked sooner, at growing gaps, so that it serves as soon as it can; those questions do not fail it any sooner.
 */
export function afterProbe(state: CheckState, probe: Probe, kind: ProbeKind, result: CheckResult, now: number): CheckState {
  const passed = state.passed || result.passed;
  const early = kind !== 'liveness' && state.askedAt < state.since + probe.periodMs;
  const failures = result.passed ? 0 : early && !passed ? Math.max(1, state.failures) : state.failures + 1;
  const successes = result.passed ? state.successes + 1 : 0;
  const gap = early && !passed ? eagerGap(state, probe) : probe.periodMs;
  return { ...state, running: false, failures, successes, passed, output: result.output, due: Math.max(now, state.askedAt + gap) };
}

/** null: the answers so far do not decide, so what was decided before stands. */
export function verdictOf(state: CheckState, probe: Probe): 'passing' | 'failing' | null {
  if (state.successes >= Math.max(1, probe.successThreshold)) return 'passing';
  if (state.failures >= Math.max(1, probe.failureThreshold)) return 'failing';
  return null;
}

/** Never over the end of the first period: the question there is one that counts. */
function eagerGap(state: CheckState, probe: Probe): number {
  const elapsed = state.askedAt - state.since;
  return Math.min(Math.max(eagerMs, elapsed), Math.max(1, probe.periodMs - elapsed));
}
