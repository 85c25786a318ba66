/** Mode, restarts and updates. */
import type { RestartPolicy, ServiceMode, UpdateConfig } from '../../spec.ts';
import type { Reader } from './reader.ts';

/** More is a slip of the finger; the scheduler would try. */
const maxReplicas = 100_000;

export function makeMode(service: Reader): ServiceMode {
  const deploy = service.at('deploy');
  const kind = (deploy.text('mode') ?? 'replicated') as ServiceMode['kind'];
  const scale = service.number('scale');
  const replicas = deploy.number('replicas');
  if (scale !== undefined && replicas !== undefined && scale !== replicas) service.at('scale').error(`scale is ${scale}, but deploy.replicas ${replicas}`, 'keep one of them');
  const count = replicas ?? scale ?? 1;
  const at = replicas !== undefined ? deploy.at('replicas') : service.at('scale');
  if (count > maxReplicas) at.error(`${count} replicas are more than ${maxReplicas}, the limit`);
  if ((kind === 'global' || kind === 'global-job') && (replicas ?? scale) !== undefined) at.error(`a ${kind} service runs once on every node; it has no number of replicas`, 'remove it');
  switch (kind) {
    case 'replicated': return { kind, replicas: count };
    case 'replicated-job': return { kind, completions: count, concurrency: count };
    case 'global': case 'global-job': return { kind };
  }
}

const baseDelayMs = 100;
const windowMs = 10_000;
const base = { delayMs: baseDelayMs, maxAttempts: 0, windowMs };

/** Of what runs to its end once. */
export const onFailure: RestartPolicy = { condition: 'on-failure', ...base };

/**
 * `deploy.restart_policy`, else `restart`. Without either a service is restarted always, a job (or a service that others wait
 * for to complete) only when it fails.
 */
export function makeRestart(service: Reader, once: boolean, job: boolean): RestartPolicy {
  const policy = service.at('deploy').at('restart_policy');
  const fallback = once ? 'on-failure' : 'any';
  const within = policy.ms('window');
  const made = policy.node
    ? {
        condition: (policy.text('condition') ?? fallback) as RestartPolicy['condition'],
        delayMs: policy.ms('delay') ?? base.delayMs,
        maxAttempts: policy.number('max_attempts') ?? 0,
        windowMs: within ?? windowMs,
        // Swarm counts the restarts of the window; without one it counts those in a row.
        ...(policy.number('max_attempts') && within ? { attemptsWithinMs: within } : {}),
      }
    : fromRestart(service, fallback);
  if (job && (made.condition === 'any' || made.condition === 'unless-stopped')) {
    (policy.node ? policy.at('condition') : service.at('restart')).error('a job that is restarted always never ends', 'use on-failure or none');
  }
  return made;
}

export function fromRestart(service: Reader, fallback: 'any' | 'on-failure'): RestartPolicy {
  const text = service.text('restart');
  switch (text) {
    case undefined: case '': return { condition: fallback, ...base };
    // Without quotes YAML reads `no` as text and `false` as a boolean: both mean it.
    case 'no': case 'false': return { condition: 'none', ...base };
    case 'always': return { condition: 'any', ...base };
    case 'unless-stopped': return { condition: 'unless-stopped', ...base };
    default: {
      const failures = /^on-failure(?::(\d{1,6}))?$/.exec(text);
      if (!failures) service.at('restart').error(`${JSON.stringify(text)} is no restart policy`, 'use "no", always, on-failure, on-failure:N or unless-stopped');
      return { condition: 'on-failure', ...base, maxAttempts: Number(failures?.[1] ?? 0) };
    }
  }
}

export function makeUpdate(config: Reader): UpdateConfig {
  return {
    parallelism: config.number('parallelism') ?? 1,
    delayMs: config.ms('delay') ?? 0,
    order: (config.text('order') ?? 'stop-first') as UpdateConfig['order'],
    failureAction: (config.text('failure_action') ?? 'pause') as UpdateConfig['failureAction'],
    monitorMs: config.ms('monitor') ?? 5000,
    maxFailureRatio: config.number('max_failure_ratio') ?? 0,
  };
}
