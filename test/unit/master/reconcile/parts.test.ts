import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonical } from '../../../../model/canonical.ts';
import { diffService } from '../../../../master/reconcile/diff.ts';
import { gate, type GateWorld } from '../../../../model/gate.ts';
import { nodeState } from '../../../../master/reconcile/node-state.ts';
import { opsOf, podOps } from '../../../../master/reconcile/ops.ts';
import { baseRevision, revisionOf } from '../../../../model/revision.ts';
import { observePod } from '../../../../master/reconcile/times.ts';
import type { Entry } from '../../../../master/store/port.ts';
import type { Pod, PodStatus } from '../../../../model/pod.ts';
import type { Service } from '../../../../model/service.ts';
import type { Dependency, ServiceSpec } from '../../../../model/spec.ts';
import { constraint, makeContainer, makePod, makeSpec } from '../scheduler/make.ts';

function status(id: string, changes: Partial<PodStatus> = {}): PodStatus {
  return { id, node: 'n1', phase: 'running', ready: false, message: '', restarts: 0, since: 0, containers: [], ...changes };
}

describe('canonical', () => {
  test('does not depend on the order of keys, drops what is undefined', () => {
    expect(canonical({ b: 1, a: [{ d: undefined, c: null }] })).toBe('{"a":[{"c":null}],"b":1}');
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).toReversed());
      expect(canonical(reversed)).toBe(canonical(value));
      expect(JSON.parse(canonical(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }));
  });
});

describe('revisionOf', () => {
  const base = makeSpec({ networks: [{ network: 'shop_default', aliases: [] }] });
  const container = (changes: Parameters<typeof makeContainer>[0]): ServiceSpec => ({ ...base, template: { ...base.template, containers: [makeContainer(changes)] } });
  const rows: readonly (readonly [string, ServiceSpec, boolean])[] = [
    ['replicas', { ...base, mode: { kind: 'replicated', replicas: 7 } }, false],
    ['service labels', { ...base, labels: { a: 'b' } }, false],
    ['placement', { ...base, placement: { ...base.placement, constraints: [constraint('a==b')], maxPerNode: 1 } }, false],
    ['update settings', { ...base, update: { ...base.update, parallelism: 3 } }, false],
    ['ingress ports', { ...base, ports: [{ target: 80, published: 80, protocol: 'tcp', mode: 'ingress' }] }, false],
    ['aliases', { ...base, networks: [{ network: 'shop_default', aliases: ['w'] }] }, false],
    ['dependencies', { ...base, dependsOn: [{ service: 'db', condition: 'service_started', required: true, restart: false }] }, false],
    ['endpoint mode', { ...base, endpointMode: 'dnsrr' }, false],
    ['image', container({ image: 'app:2' }), true],
    ['env', container({ env: { MODE: 'x' } }), true],
    ['container labels', container({ labels: { a: 'b' } }), true],
    ['networks', { ...base, networks: [] }, true],
    ['host ports', { ...base, ports: [{ target: 80, published: 80, protocol: 'tcp', mode: 'host' }] }, true],
    ['reservations', makeSpec({ cpus: 1 }), true],
    ['what becomes of pods that are cut off', { ...base, template: { ...base.template, onDisconnect: { stopAfterMs: 30_000 } } }, true],
    ['restart policy', { ...base, template: { ...base.template, restart: { ...base.template.restart, maxAttempts: 2 } } }, true],
  ];
  test.each(rows)('%s', (_name, changed, restarts) => {
    expect(revisionOf(changed) !== revisionOf(base)).toBe(restarts);
    expect(diffService(base, changed)).toMatchObject({ restarts });
    expect(diffService(base, changed).changes).not.toEqual([]);
  });

  test('the base of a revision that asks for a restart', () => {
    expect(['abc', 'abc~1', 'abc~12'].map(baseRevision)).toEqual(['abc', 'abc', 'abc']);
  });
});

test('diffs name fields as people do', () => {
  const port = { target: 80, protocol: 'tcp', mode: 'ingress' } as const;
  const before = makeSpec({ ports: [{ ...port, published: 80 }], template: { containers: [makeContainer({ name: 'web', env: { MODE: 'a', OLD: '1' }, command: ['a', 'b'] })] } });
  const after = makeSpec({ mode: { kind: 'replicated', replicas: 3 }, ports: [{ ...port, published: 81 }], template: { containers: [makeContainer({ name: 'web', env: { MODE: 'b' }, command: ['a', 'c'] })] } });
  expect(diffService(before, after)).toEqual({
    restarts: true,
    changes: [
      { path: 'mode.replicas', before: 1, after: 3 },
      { path: 'ports[80/tcp].published', before: 80, after: 81 },
      { path: 'template.containers[web].command', before: ['a', 'b'], after: ['a', 'c'] },
      { path: 'template.containers[web].env.MODE', before: 'a', after: 'b' },
      { path: 'template.containers[web].env.OLD', before: '1' },
    ],
  });
  expect(diffService(before, before)).toEqual({ restarts: false, changes: [] });
});

test.each([
  [{ hasSession: true, lostSince: null, now: 9, graceMs: 5 }, 'ready'],
  [{ hasSession: false, lostSince: null, now: 9, graceMs: 5 }, 'unknown'],
  [{ hasSession: false, lostSince: 5, now: 9, graceMs: 5 }, 'unknown'],
  [{ hasSession: false, lostSince: 4, now: 9, graceMs: 5 }, 'down'],
  [{ hasSession: true, lostSince: 0, now: 9, graceMs: 5 }, 'ready'],
] as const)('nodeState %j', (session, expected) => expect(nodeState(session)).toBe(expected));

describe('observePod', () => {
  const see = (...statuses: readonly Partial<PodStatus>[]) => {
    let times: ReturnType<typeof observePod> | undefined;
    for (const [at, changes] of statuses.entries()) times = observePod(times, status('p', changes), at);
    return times;
  };
  test.each([
    ['becoming ready', [{}, { ready: true }, { ready: true }], { readySince: 1, firstReady: 1, failedAt: null, endedAt: null }],
    ['a break', [{ ready: true }, { ready: false }, { ready: true }], { readySince: 2, firstReady: 0, failedAt: null }],
    ['a restart', [{ ready: true }, { ready: false, restarts: 1 }], { readySince: null, firstReady: 0, failedAt: 1 }],
    ['an old restart of a pod that is well', [{ ready: true, restarts: 4 }, { ready: true, restarts: 4 }], { failedAt: null }],
    ['an old restart of one that is not', [{ ready: false, restarts: 4 }], { failedAt: 0 }],
    ['the first failure counts', [{ restarts: 1 }, { restarts: 2 }], { failedAt: 0 }],
    ['the end', [{ ready: true }, { phase: 'failed', ready: true }, { phase: 'failed' }], { readySince: null, failedAt: 1, endedAt: 1 }],
    ['success is no failure', [{ ready: true }, { phase: 'succeeded' }], { failedAt: null, endedAt: 1 }],
  ] as const)('%s', (_name, statuses, expected) => expect(see(...statuses)).toMatchObject(expected));

  test('nothing new: the same object', () => {
    const times = observePod(undefined, status('p', { ready: true }), 1);
    expect(observePod(times, status('p', { ready: true }), 2)).toBe(times);
  });
});

describe('gate', () => {
  function check(condition: Dependency['condition'], db: readonly (readonly [Partial<Pod>, Partial<PodStatus>])[], more: { required?: boolean; container?: string; mode?: ServiceSpec['mode']; own?: readonly (readonly [Partial<Pod>, Partial<PodStatus>])[]; missing?: boolean } = {}): readonly string[] {
    const web = makeSpec({ dependsOn: [{ service: 'db', condition, required: more.required ?? true, restart: false, ...(more.container ? { container: more.container } : {}) }] });
    const services = new Map<string, Service>([
      ['shop_web', { id: 'shop_web', spec: web, revision: 'r1', previous: null }],
      ...(more.missing ? [] : [['shop_db', { id: 'shop_db', spec: makeSpec({ name: 'db', ...(more.mode ? { mode: more.mode } : {}) }), revision: 'r2', previous: null }] as const]),
    ]);
    const all = [...db.map(([pod, seen], i) => [makePod(`db${i}`, { service: 'shop_db', revision: 'r2', slot: i + 1, ...pod }), status(`db${i}`, seen)] as const),
      ...(more.own ?? []).map(([pod, seen], i) => [makePod(`web${i}`, pod), status(`web${i}`, seen)] as const)];
    const world: GateWorld = {
      service: (id) => services.get(id), pods: (id) => all.map(([pod]) => pod).filter((pod) => pod.service === id), status: (id) => all.find(([pod]) => pod.id === id)?.[1],
    };
    return gate(services.get('shop_web')!, world);
  }

  test.each([
    ['service_started', [], ['waiting for db: started']],
    ['service_started', [[{}, { phase: 'starting' }]], ['waiting for db: started']],
    ['service_started', [[{}, { phase: 'running' }]], []],
    ['service_started', [[{}, { phase: 'succeeded' }]], []],
    ['service_started', [[{ desired: 'stopped' }, { phase: 'running' }]], ['waiting for db: started']],
    ['service_healthy', [[{}, { ready: false }]], ['waiting for db: healthy']],
    ['service_healthy', [[{}, { ready: false }], [{}, { ready: true }]], []],
    ['service_completed_successfully', [[{}, { phase: 'running' }]], ['waiting for db: completed successfully']],
    ['service_completed_successfully', [[{}, { phase: 'succeeded' }]], []],
    ['service_completed_successfully', [[{ revision: 'r1' }, { phase: 'succeeded' }]], ['waiting for db: completed successfully']],
    ['service_completed_successfully', [[{}, { phase: 'failed', message: 'exit code 3' }]], ['waiting for db: completed successfully, but it failed: exit code 3']],
  ] as const)('%s with %j', (condition, db, expected) => expect(check(condition, db)).toEqual(expected));

  test('all completions of a job', () => {
    const mode = { kind: 'replicated-job', completions: 2, concurrency: 0 } as const;
    expect(check('service_completed_successfully', [[{}, { phase: 'succeeded' }]], { mode })).toHaveLength(1);
    expect(check('service_completed_successfully', [[{}, { phase: 'succeeded' }], [{}, { phase: 'succeeded' }]], { mode })).toEqual([]);
  });

  test('what is not required may be missing or have failed', () => {
    expect(check('service_started', [], { missing: true })).toEqual(['waiting for db: there is no such service']);
    expect(check('service_started', [], { missing: true, required: false })).toEqual([]);
    expect(check('service_completed_successfully', [[{}, { phase: 'failed' }]], { required: false })).toEqual([]);
  });

  test.each([
    ['service_started', { phase: 'starting', containers: [{ name: 'db', image: 'x', state: 'restarting' }] }],
    ['service_healthy', { phase: 'running', containers: [{ name: 'db', image: 'x', state: 'running', health: 'unhealthy' }] }],
    ['service_healthy', { phase: 'running', containers: [{ name: 'db', image: 'x', state: 'restarting' }] }],
    ['service_healthy', { phase: 'failed' }],
  ] as const)('what is not required is waited for, but not once it fails: %s, %j', (condition, failing) => {
    expect(check(condition, [[{}, { phase: 'starting' }]], { required: false })).toHaveLength(1);
    expect(check(condition, [[{}, failing]], { required: false })).toEqual([]);
    expect(check(condition, [[{}, failing]])).toHaveLength(condition === 'service_started' ? 1 : 1);
  });

  test.each([
    ['service_started', 'waiting', ['waiting for side: started']],
    ['service_started', 'running', []],
    ['service_started', 'restarting', []],
    ['service_healthy', 'running', ['waiting for side: healthy']],
    ['service_completed_successfully', 'running', ['waiting for side: completed successfully']],
    ['service_completed_successfully', 'succeeded', []],
    ['service_completed_successfully', 'failed', ['waiting for side: completed successfully, but it failed: exit code 3']],
  ] as const)('one container of a pod: %s, which is %s', (condition, state, expected) => {
    const ended = state === 'failed' ? { ended: [{ attempt: 1, exitCode: 3, oomKilled: false, startedAt: 1, endedAt: 2, message: 'exit code 3' }] } : {};
    const containers = [{ name: 'db', image: 'x', state: 'running', ready: true }, { name: 'side', image: 'x', state, ready: false, ...ended }] as const;
    expect(check(condition, [[{}, { phase: 'running', ready: true, containers }]], { container: 'side' })).toEqual(expected);
    expect(check('service_healthy', [[{}, { phase: 'running', containers }]], { container: 'db' })).toEqual([]);
  });

  test('once a pod of the revision runs, others need not wait', () => {
    expect(check('service_healthy', [], { own: [[{}, { phase: 'running' }]] })).toEqual([]);
    expect(check('service_healthy', [], { own: [[{ revision: 'r0' }, { phase: 'running' }]] })).toHaveLength(1);
  });
});

describe('ops', () => {
  const entries = new Map<string, Entry<'pods'>>([['a', { kind: 'pods', id: 'a', value: makePod('a'), revision: 7 }]]);
  const find = (id: string) => entries.get(id);

  test('every write is guarded by what the plan saw', () => {
    const spec = makeSpec();
    const service: Service = { id: 'shop_web', spec, revision: 'r2', previous: 'r1' };
    const ops = opsOf(
      {
        actions: [{ kind: 'create', slot: 2, revision: 'r2' }, { kind: 'drain', pod: 'a', reason: 'updated' }], wakeAt: null,
        update: { state: 'updating', message: '' }, rollback: { ...service, revision: 'r1' },
      },
      { service: { kind: 'services', id: 'shop_web', value: service, revision: 5 }, status: undefined, pods: find, newId: () => 'new', now: 99 },
    );
    expect(ops).toEqual([
      { op: 'put', kind: 'pods', id: 'new', guard: 0, value: makePod('new', { slot: 2, revision: 'r2', createdAt: 99 }) },
      { op: 'put', kind: 'pods', id: 'a', guard: 7, value: makePod('a', { desired: 'draining', reason: 'updated' }) },
      { op: 'put', kind: 'services', id: 'shop_web', guard: 5, value: { ...service, revision: 'r1' } },
      { op: 'put', kind: 'servicestatus', id: 'shop_web', guard: 0, value: { id: 'shop_web', vips: [], ports: [], update: { state: 'updating', message: '' } } },
    ]);
  });

  test('pods that are gone already are left out', () => {
    expect(podOps([{ kind: 'stop', pod: 'a', reason: 'x' }, { kind: 'stop', pod: 'b', reason: 'x' }, { kind: 'delete', pod: 'a', reason: 'x' }], find)).toEqual([
      { op: 'put', kind: 'pods', id: 'a', guard: 7, value: makePod('a', { desired: 'stopped', reason: 'x' }) },
      { op: 'delete', kind: 'pods', id: 'a', guard: 7 },
    ]);
  });
});
