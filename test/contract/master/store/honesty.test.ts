/** The fake is honest: it answers any sequence of commits as etcd does. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TsorchError } from '../../../../model/errors.ts';
import { EtcdStore } from '../../../../master/store/etcd.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Op, Store } from '../../../../master/store/port.ts';
import { startTestEtcd } from './etcd.ts';
import type { TestEtcd } from './etcd.ts';

let etcd: TestEtcd;
beforeAll(async () => {
  etcd = await startTestEtcd();
});
afterAll(() => etcd.stop());

/** Guards are relative, since the two count revisions differently. */
interface Step {
  readonly ops: readonly { readonly op: 'put' | 'delete'; readonly id: string; readonly guard: 'none' | 'absent' | 'current' | 'stale'; readonly message: string }[];
  readonly epoch: 'none' | 'current' | 'stale';
}

const steps = fc.array(fc.record({
  ops: fc.array(fc.record({
    op: fc.constantFrom('put' as const, 'delete' as const),
    id: fc.constantFrom('a', 'b', 'c', 'leader'),
    guard: fc.constantFrom('none' as const, 'absent' as const, 'current' as const, 'stale' as const),
    message: fc.string({ maxLength: 4 }),
  }), { minLength: 1, maxLength: 5 }),
  epoch: fc.constantFrom('none' as const, 'none' as const, 'current' as const, 'stale' as const),
}), { maxLength: 15 });

async function play(store: Store, script: readonly Step[]): Promise<readonly unknown[]> {
  const diary: unknown[] = [];
  const stale = new Map<string, number>();
  for (const step of script) {
    const now = new Map((await store.list('events')).map((entry) => [entry.id, entry.revision]));
    const guardOf = (id: string, guard: Step['ops'][number]['guard']) => {
      if (guard === 'none') return {};
      return { guard: guard === 'absent' ? 0 : guard === 'current' ? (now.get(id) ?? 0) : (stale.get(id) ?? 1) };
    };
    const ops = step.ops.map(({ op, id, guard, message }): Op => op === 'put'
      ? { op, kind: 'events', id, value: { id, at: 0, subject: 's', message }, ...guardOf(id, guard) }
      : { op, kind: 'events', id, ...guardOf(id, guard) });
    const leader = now.get('leader');
    const epoch = step.epoch === 'none' ? undefined : { key: 'events/leader', createRevision: step.epoch === 'current' ? (leader ?? 1) : (stale.get('leader') ?? 1) };
    try {
      const { revision } = await store.commit(ops, epoch);
      const after = await store.list('events');
      diary.push(revision === 0 ? 'nothing' : after.filter((entry) => entry.revision === revision).map((entry) => entry.id));
    } catch (error) {
      if (!(error instanceof TsorchError)) throw error;
      diary.push(error.code);
    }
    for (const [id, revision] of now) stale.set(id, revision);
    diary.push((await store.list('events')).map(({ id, value }) => [id, value.message]));
  }
  return diary;
}

it('any sequence of commits', async () => {
  await fc.assert(fc.asyncProperty(steps, async (script) => {
    const real = new EtcdStore({ endpoints: [etcd.endpoint], root: `/${Math.random().toString(36).slice(2)}/` });
    try {
      expect(await play(new MemoryStore(), script)).toEqual(await play(real, script));
    } finally {
      await real.close();
    }
  }), { numRuns: 60 });
});
