/** `healthcheck` with Docker's defaults, hooks, and `x-probes` with Kubernetes'. */
import type { Healthcheck, HealthcheckOverride, Hook, Probe } from '../../spec.ts';
import type { TemplateContext } from '../../template/swarm.ts';
import { isAddress } from '../values/address.ts';
import { makeEnv } from './environment.ts';
import type { Reader } from './reader.ts';

export function makeHealthcheck(of: Reader): Healthcheck | HealthcheckOverride | undefined {
  const check = of.at('healthcheck');
  if (!check.node) return undefined;
  const test = testOf(check);
  if (test) {
    // 0 asks for the default, as in Docker.
    return {
      test,
      intervalMs: check.ms('interval') || 30_000,
      timeoutMs: check.ms('timeout') || 30_000,
      retries: check.number('retries') || 3,
      startPeriodMs: check.ms('start_period') ?? 0,
      startIntervalMs: check.ms('start_interval') || 5000,
    };
  }
  const override: HealthcheckOverride = {
    test: { kind: 'image' },
    ...given('intervalMs', check.ms('interval')),
    ...given('timeoutMs', check.ms('timeout')),
    ...given('retries', check.number('retries')),
    ...given('startPeriodMs', check.ms('start_period')),
    ...given('startIntervalMs', check.ms('start_interval')),
  };
  return Object.keys(override).length > 1 ? override : undefined;
}

/** 0 asks for what the image says. */
function given<K extends string>(key: K, value: number | undefined): { readonly [key in K]?: number } {
  return (value === undefined || value === 0 ? {} : { [key]: value }) as { readonly [key in K]?: number };
}

function testOf(check: Reader): Healthcheck['test'] | undefined {
  const words = check.strings('test');
  if (check.flag('disable') === true || words?.[0] === 'NONE') return { kind: 'none' };
  if (!words || words.length < 2) return undefined;
  return words[0] === 'CMD' ? { kind: 'exec', argv: words.slice(1) } : { kind: 'shell', command: words[1] ?? '' };
}

export function makeHooks(list: Reader, sample: TemplateContext): readonly Hook[] | undefined {
  const made = list.items().flatMap((item): readonly Hook[] => {
    const argv = item.strings('command');
    if (!argv || argv.length === 0) {
      if (item.has('command')) item.at('command').error('a hook needs a command');
      return [];
    }
    const user = item.text('user');
    const workingDir = item.text('working_dir');
    return [{
      command: { kind: 'exec', argv }, ...(user ? { user } : {}), ...(workingDir ? { workingDir } : {}),
      env: makeEnv(item.at('environment'), sample), privileged: item.flag('privileged') ?? false,
    }];
  });
  return made.length > 0 ? made : undefined;
}

export function makeProbes(of: Reader): { readonly startupProbe?: Probe; readonly readinessProbe?: Probe; readonly livenessProbe?: Probe } {
  const probes = of.at('x-probes');
  const startupProbe = makeProbe(probes.at('startup'), 'startup');
  const readinessProbe = makeProbe(probes.at('readiness'), 'readiness');
  const livenessProbe = makeProbe(probes.at('liveness'), 'liveness');
  return { ...(startupProbe ? { startupProbe } : {}), ...(readinessProbe ? { readinessProbe } : {}), ...(livenessProbe ? { livenessProbe } : {}) };
}

const questions = ['exec', 'http', 'tcp', 'grpc'] as const;

function makeProbe(probe: Reader, name: 'startup' | 'readiness' | 'liveness'): Probe | undefined {
  if (probe.node?.kind !== 'map') return undefined;
  const asked = questions.filter((key) => probe.has(key));
  if (asked.length !== 1) {
    probe.error(asked.length === 0 ? `the ${name} probe asks nothing` : `the ${name} probe asks by ${asked.join(' and by ')}, but may only by one of them`, 'give it exec, http, tcp or grpc');
    return undefined;
  }
  const ask = askOf(probe, asked[0] ?? 'exec');
  const successThreshold = probe.number('success_threshold') ?? 1;
  if (successThreshold > 1 && name !== 'readiness') probe.at('success_threshold').error(`one success is enough for a ${name} probe`, 'remove it');
  return ask && {
    ask,
    initialDelayMs: probe.ms('initial_delay') ?? 0,
    periodMs: probe.ms('period') || 10_000,
    timeoutMs: probe.ms('timeout') || 1000,
    successThreshold,
    failureThreshold: probe.number('failure_threshold') ?? 3,
  };
}

function askOf(probe: Reader, kind: (typeof questions)[number]): Probe['ask'] | undefined {
  const at = probe.at(kind);
  const port = at.number('port');
  const host = at.text('host') || undefined;
  if (host !== undefined && !isAddress(host) && !/^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/i.test(host)) at.at('host').error(`${JSON.stringify(host)} is no host`);
  switch (kind) {
    case 'exec': {
      const argv = probe.strings('exec');
      if (argv?.length === 0) at.error('the probe has no command');
      return argv && argv.length > 0 ? { kind, argv } : undefined;
    }
    case 'http': {
      const path = at.text('path') || '/';
      if (!path.startsWith('/')) at.at('path').error(`a path begins with /, unlike ${JSON.stringify(path)}`);
      return port === undefined ? undefined : { kind, scheme: at.text('scheme') === 'https' ? 'https' : 'http', port, path, ...(host === undefined ? {} : { host }), headers: at.pairs('headers') };
    }
    case 'tcp': return port === undefined ? undefined : { kind, port, ...(host === undefined ? {} : { host }) };
    case 'grpc': return port === undefined ? undefined : { kind, port, service: at.text('service') ?? '' };
  }
}
