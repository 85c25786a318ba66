/** What is done about volumes that are removed and moved, step by step, whatever fails in between. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry, Kinds } from '../../../../master/store/port.ts';
import { cleared, takenBack, volumeSteps, type VolumeFacts, type VolumeSteps } from '../../../../master/volumes/steps.ts';
import { mentionsOf, usersOf } from '../../../../master/volumes/users.ts';
import type { Maps } from '../../../../master/world.ts';
import type { Volume } from '../../../../model/service.ts';
import type { MountSpec } from '../../../../model/spec.ts';
import { makeContainer, makeNode, makePod, makeSpec } from '../scheduler/make.ts';

const volume = (name: string, over: Partial<Volume> = {}): Volume => ({ name, stack: 'shop', driver: 'local', driverOpts: {}, labels: {}, node: 'n1', ...over });
const move = (phase: 'stopping' | 'copying' | 'copied') => ({ id: 'm', from: 'n1', to: 'n2', phase }) as const;

class Fakes {
  readonly volumes = new Map<string, Entry<'volumes'>>();
  readonly pods = new Map<string, Entry<'pods'>>();
  readonly podstatus = new Map<string, Entry<'podstatus'>>();
  readonly services = new Map<string, Entry<'services'>>();
  readonly revisions = new Map<string, Entry<'revisions'>>();
  readonly nodes = new Map([1, 2, 3].map((number) => [`n${number}`, { kind: 'nodes', id: `n${number}`, value: makeNode(number).node, revision: 1 } as Entry<'nodes'>]));
  revision = 10;

  set(...volumes: readonly Volume[]): this {
    for (const value of volumes) this.volumes.set(value.name, { kind: 'volumes', id: value.name, value, revision: ++this.revision });
    return this;
  }

  /** A service of one pod that mounts `data`. */
  service(options: { readonly replicas?: number; readonly pod?: boolean; readonly perReplica?: boolean; readonly global?: boolean; readonly job?: boolean } = {}): this {
    const { replicas = 1, pod = true, perReplica = false, global = false, job = false } = options;
    const mount: MountSpec = { kind: 'volume', volume: 'data', target: '/data', readOnly: false, noCopy: false, ...(perReplica ? { perReplica } : {}) };
    const spec = makeSpec({ mode: global ? { kind: 'global' } : job ? { kind: 'replicated-job', completions: 1, concurrency: 1 } : { kind: 'replicated', replicas }, template: { containers: [], initContainers: [makeContainer({ mounts: [mount] })] } });
    this.services.set('shop_web', { kind: 'services', id: 'shop_web', value: { id: 'shop_web', spec, revision: 'r1', previous: null }, revision: 1 });
    this.revisions.set('shop_web.r1', { kind: 'revisions', id: 'shop_web.r1', value: { service: 'shop_web', revision: 'r1', spec }, revision: 1 });
    if (pod) this.pods.set('p', { kind: 'pods', id: 'p', value: makePod('p', { node: 'n1' }), revision: 1 });
    return this;
  }

  get maps(): Maps {
    return this as unknown as Maps;
  }

  steps(over: Partial<VolumeFacts> = {}): VolumeSteps {
    return volumeSteps(this.maps, { connected: () => true, down: () => false, settled: Infinity, scope: () => 'local', failed: () => undefined, ...over });
  }

  /** As the leader's work does it: commits at once, jobs one by one. */
  apply(steps: VolumeSteps): void {
    for (const { ops } of steps.commits) {
      for (const op of ops) {
        if (op.op === 'delete') this.volumes.delete(op.id);
        else this.set(op.value as Kinds['volumes']);
      }
    }
    for (const job of steps.jobs) {
      const value = this.volumes.get(job.volume)?.value;
      if (!value) continue;
      if (job.kind === 'copy') this.set(value.move ? { ...value, move: { ...value.move, phase: 'copied' } } : value);
      else this.set(cleared(value, job.node, job.kind === 'discard' ? job.move : undefined));
    }
  }
}

describe('removing', () => {
  test('data on every node first, then the record', () => {
    const world = new Fakes().set(volume('data', { removing: 'asked', nodes: ['n3'], stale: [{ node: 'n2', move: 'm' }] }));
    expect(world.steps().jobs.map((job) => ('node' in job ? `${job.kind} ${job.node}` : ''))).toEqual(['remove n1', 'remove n2', 'remove n3']);
    world.apply(world.steps());
    expect(world.steps().commits).toMatchObject([{ ops: [{ op: 'delete', id: 'data' }] }]);
  });

  test('waits for a node that is away, unless it is forced; one that left the cluster counts no more', () => {
    const world = new Fakes().set(volume('data', { removing: 'asked', node: 'n2', nodes: ['n9'] }));
    const away = { connected: (node: string) => node !== 'n2' };
    expect([world.steps(away).jobs, [...world.steps(away).waits]]).toEqual([[], [['data', 'node-2 has its data and is not connected']]]);
    world.set(volume('data', { removing: 'forced', node: 'n2' }));
    expect(world.steps(away).commits).toMatchObject([{ event: 'removed' }]);
  });

  test('is called off when somebody came to use it, and waits until whoever might has been heard', () => {
    const world = new Fakes().service().set(volume('data', { removing: 'asked' }));
    expect(world.steps({ settled: 0 })).toMatchObject({ commits: [], jobs: [] });
    expect(world.steps().commits).toMatchObject([{ event: 'not removed: it is used by shop_web', ops: [{ op: 'put' }] }]);
    expect(world.steps().commits[0]?.ops[0]).not.toHaveProperty('value.removing');
  });

  test('a global plugin\'s is removed by one node, the last', () => {
    const world = new Fakes().set(volume('data', { removing: 'asked', driver: 'far', node: null, nodes: ['n1', 'n2', 'n3'] }));
    const facts: Partial<VolumeFacts> = { scope: () => 'global' };
    const said: string[] = [];
    for (let i = 0; i < 5 && world.volumes.size > 0; i++) {
      const steps = world.steps(facts);
      said.push(...steps.jobs.map((job) => (job.kind === 'remove' ? `${job.node}${job.forget ? ' forgets' : ' removes'}` : '')));
      world.apply(steps);
    }
    expect([said, world.volumes.size]).toEqual([['n1 forgets', 'n2 forgets', 'n3 removes'], 0]);
  });
});

describe('moving', () => {
  test('pods end, then the copy, then all at once it is there, and the old one goes', () => {
    const world = new Fakes().service().set(volume('data', { move: move('stopping') }));
    expect([world.steps().commits, [...world.steps().waits.values()]]).toEqual([[], ['waiting for shop_web.1 to end']]);
    world.pods.clear();
    expect(world.steps({ settled: 0 }).commits).toEqual([]);
    world.apply(world.steps());
    expect(world.steps().jobs).toEqual([{ kind: 'copy', volume: 'data', from: 'n1', to: 'n2', move: 'm' }]);
    world.apply(world.steps());
    world.apply(world.steps());
    expect(world.volumes.get('data')?.value).toEqual(volume('data', { node: 'n2', stale: [{ node: 'n1' }] }));
    expect(world.steps().jobs).toEqual([{ kind: 'remove', volume: 'data', driver: 'local', node: 'n1', forget: false }]);
    world.apply(world.steps());
    expect([world.volumes.get('data')?.value, world.steps().jobs]).toEqual([volume('data', { node: 'n2' }), []]);
  });

  test('several arrive together or not at all', () => {
    const world = new Fakes().set(volume('a', { move: move('copied') }), volume('b', { move: move('copying') }));
    expect(world.steps().commits).toEqual([]);
    expect(world.steps({ failed: () => 'the disk is full' }).commits).toMatchObject([{ volumes: ['a', 'b'], event: 'the move failed, everything is as before: the disk is full' }]);
    world.apply(world.steps());
    expect(world.steps().commits).toMatchObject([{ volumes: ['a', 'b'], event: 'is on node-2 now' }]);
    // None is read while pods of another one may still write.
    world.set(volume('a', { move: move('copying') }), volume('b', { move: move('stopping') })).service();
    expect(world.steps().jobs).toEqual([]);
  });

  test.each([
    ['a node is down', { down: (node: string) => node === 'n2' }, 'node-2 is down'],
    ['it failed', { failed: () => 'no room' }, 'no room'],
  ])('%s: as before, and what came there goes', (_, facts, why) => {
    for (const phase of ['stopping', 'copying', 'copied'] as const) {
      const world = new Fakes().set(volume('data', { move: move(phase) }));
      const steps = world.steps(facts);
      expect(steps.commits[0]?.event).toContain(why);
      world.apply(steps);
      expect(world.volumes.get('data')?.value).toEqual(volume('data', { stale: [{ node: 'n2', move: 'm' }] }));
      expect(world.steps().jobs).toEqual([{ kind: 'discard', volume: 'data', node: 'n2', move: 'm' }]);
    }
  });

  test('a node that is away for a moment is waited for', () => {
    const world = new Fakes().set(volume('data', { move: move('copying') }));
    const steps = world.steps({ connected: (node) => node !== 'n2' });
    expect([steps.jobs, steps.commits, [...steps.waits.values()]]).toEqual([[], [], ['waiting for node-2 to be connected']]);
  });

  test('to where an older copy lies, that one goes first', () => {
    const world = new Fakes().set(volume('data', { move: move('stopping'), stale: [{ node: 'n2' }] }));
    expect(world.steps()).toMatchObject({ commits: [], jobs: [{ kind: 'remove', node: 'n2' }] });
    world.apply(world.steps());
    expect(world.steps().commits).toMatchObject([{ event: 'its pods have ended, it is being copied' }]);
  });

  test('whatever fails whenever, the data is never removed where it is, and it comes to rest', () => {
    const happening = fc.record({ fails: fc.boolean(), away: fc.constantFrom('', 'n1', 'n2', 'n3'), back: fc.boolean(), to: fc.constantFrom('n1', 'n2', 'n3') });
    fc.assert(fc.property(fc.array(happening, { maxLength: 25 }), (happenings) => {
      const world = new Fakes().set(volume('data'));
      /** Nodes with a whole copy. */
      const copies = new Map<string, string>([['n1', 'original']]);
      let moves = 0;
      const go = (facts: Partial<VolumeFacts>) => {
        const before = world.volumes.get('data')?.value;
        const steps = world.steps(facts);
        for (const job of steps.jobs) {
          if (job.kind === 'copy') copies.set(job.to, job.move);
          else if (job.kind === 'remove') {
            expect(job.node).not.toBe(before?.node);
            copies.delete(job.node);
          } else if (copies.get(job.node) === job.move) {
            expect(job.node).not.toBe(before?.node);
            copies.delete(job.node);
          }
        }
        world.apply(steps);
        expect(copies.has(world.volumes.get('data')?.value.node ?? '')).toBe(true);
      };
      for (const { fails, away, back, to } of happenings) {
        const now = world.volumes.get('data')?.value ?? volume('data');
        if (back && now.move) world.set(takenBack(now));
        else if (!now.move && now.node !== null && now.node !== to) world.set({ ...now, move: { id: `m${++moves}`, from: now.node, to, phase: 'stopping' } });
        go({ connected: (node) => node !== away, failed: () => (fails ? 'it failed' : undefined) });
      }
      for (let i = 0; i < 12; i++) go({});
      const last = world.volumes.get('data')?.value;
      expect([last?.move, last?.stale, [...copies.keys()]]).toEqual([undefined, undefined, [last?.node]]);
    }));
  });
});

describe('who uses a volume', () => {
  test.each([
    ['a pod', { pod: true }, ['shop_web'], ['shop_web']],
    ['a service that wants one', { pod: false }, ['shop_web'], ['shop_web']],
    ['a service of none mentions it', { pod: false, replicas: 0 }, [], ['shop_web']],
    ['a job that is done mentions it', { pod: false, job: true }, [], ['shop_web']],
    ['a service on every node', { pod: false, global: true }, ['shop_web'], ['shop_web']],
  ])('%s', (_, options, users, mentions) => {
    const { maps } = new Fakes().service(options).set(volume('data'));
    expect([usersOf(maps, 'data'), mentionsOf(maps, 'data')]).toEqual([users, mentions]);
  });

  test('slots that are wanted use theirs; those that were scaled down are mentioned', () => {
    const world = new Fakes().service({ perReplica: true, replicas: 2, pod: false }).set(...[1, 2, 3].map((slot) => volume(`data.${slot}`, { slotOf: { volume: 'data', slot } })));
    expect([1, 2, 3].map((slot) => [usersOf(world.maps, `data.${slot}`).length, mentionsOf(world.maps, `data.${slot}`).length])).toEqual([[1, 1], [1, 1], [0, 1]]);
  });
});
