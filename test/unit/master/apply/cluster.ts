/** A master without agents: stack files go through the loader and the real deciders into a store in memory, and pods always serve. */
import { FakeClock } from '../../../../lib/clock.ts';
import { Allocations } from '../../../../master/apply/allocations.ts';
import { sha256 } from '../../../../lib/oci/manifest.ts';
import { planApply, type ApplyInput, type ApplyPlan } from '../../../../master/apply/plan.ts';
import { preview } from '../../../../master/apply/preview.ts';
import { Planner } from '../../../../master/controllers/planner.ts';
import { sortPending } from '../../../../master/controllers/pass.ts';
import { planRestarts } from '../../../../master/controllers/restarts.ts';
import { Liveness } from '../../../../master/nodes/liveness.ts';
import { describeAction, opsOf } from '../../../../master/reconcile/ops.ts';
import { reconcileService } from '../../../../master/reconcile/reconcile.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule } from '../../../../master/scheduler/schedule.ts';
import { commitAll } from '../../../../master/store/commit.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Op } from '../../../../master/store/port.ts';
import { World } from '../../../../master/world.ts';
import type { PlanResult } from '../../../../model/api.ts';
import type { Pod, PodStatus } from '../../../../model/pod.ts';
import type { NodeView } from '../../../../model/node.ts';
import type { StackSpec } from '../../../../model/spec.ts';
import { formatDiagnostic, loadStack, type LoadInput } from '../../../../model/stack/load.ts';

export class TestCluster {
  readonly world: World;
  readonly planner: Planner;
  readonly #store = new MemoryStore();
  readonly #liveness: Liveness;
  readonly #stop = new AbortController();
  /** How a pod that runs is; by default it serves, and a job has succeeded. */
  behaviour: (pod: Pod) => Partial<PodStatus> = () => ({});
  /** Pods as they were made: `shop_web.1`. */
  readonly made: string[] = [];
  #ids = 0;

  constructor(nodes: readonly NodeView[]) {
    const clock = new FakeClock();
    this.world = new World(this.#store, this.#stop.signal);
    this.#liveness = new Liveness({ clock, graceMs: 1000, startGraceMs: 1000, witnessedGraceMs: 1000 });
    for (const { node } of nodes) this.#liveness.connected(node.id);
    this.planner = new Planner(this.world, this.#liveness, this.#stop.signal);
  }

  static async start(nodes: readonly NodeView[]): Promise<TestCluster> {
    const cluster = new TestCluster(nodes);
    await cluster.world.synced;
    await cluster.write(nodes.flatMap(({ node, status }): Op[] => [{ op: 'put', kind: 'nodes', id: node.id, value: node }, ...(status ? [{ op: 'put', kind: 'nodestatus', id: node.id, value: status } as const] : [])]));
    return cluster;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#store.close();
  }

  async write(ops: readonly Op[]): Promise<void> {
    const { revision } = await commitAll(this.#store, ops);
    await this.world.waitFor(revision, this.#stop.signal);
  }

  plan(spec: StackSpec, pin?: ApplyInput['pin'], registries?: ApplyInput['registries']): ApplyPlan {
    return planApply({
      maps: this.world.maps, spec, allocations: new Allocations(this.world.maps, '10.48.0.0/16'), hash: sha256, ...(pin ? { pin } : {}), ...(registries ? { registries } : {}),
    });
  }

  preview(spec: StackSpec): PlanResult {
    const { ops, result } = this.plan(spec);
    return preview({ maps: this.world.maps, ops, result, planner: this.planner });
  }

  /** What the apply wrote. */
  async apply(spec: StackSpec, pin?: ApplyInput['pin'], registries?: ApplyInput['registries']): Promise<ApplyPlan> {
    const plan = this.plan(spec, pin, registries);
    await this.write(plan.ops);
    return plan;
  }

  /** `voting_vote: create 1 (…)`: what the reconcilers would do now. */
  decisions(): readonly string[] {
    return [...this.world.maps.services.keys()].toSorted().flatMap((id) => {
      const input = this.planner.input(id, this.world.maps, 0);
      return (input ? reconcileService(input).actions : []).map((action) => `${id}: ${describeAction(action).replace(/ \([0-9a-f]{16}\)$/, '')}`);
    });
  }

  /** Decides and plays agent until there is nothing left to do. The services whose pods were replaced or made. */
  async settle(): Promise<readonly string[]> {
    const touched = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const maps = this.world.maps;
      const restarts = planRestarts(maps, this.planner.restarting, { service: (id) => maps.services.get(id)?.value, pods: (id) => this.planner.podsOf(id), status: (id) => maps.podstatus.get(id)?.value });
      const ops: Op[] = [...restarts.ops];
      for (const [id, entry] of maps.services) {
        const known = this.planner.input(id, maps, round * 100_000);
        const waitsFor = restarts.waits.get(id);
        if (!known || restarts.services.has(id)) continue;
        const plan = reconcileService(waitsFor ? { ...known, waitsFor } : known);
        if (plan.actions.length > 0) touched.add(id);
        for (const action of plan.actions) if (action.kind === 'create') this.made.push(`${id}.${action.slot}`);
        ops.push(...opsOf(plan, { service: entry, status: this.world.entry('servicestatus', id), pods: (pod) => this.world.entry('pods', pod), newId: () => `p${++this.#ids}`, now: 0 }));
      }
      await this.write(ops);
      const steps = [...this.#place(), ...this.#agents()];
      if (ops.length === 0 && steps.length === 0) return [...touched].toSorted();
      await this.write(steps);
    }
    throw new Error('it does not come to rest');
  }

  #place(): readonly Op[] {
    const waiting = this.world.values('pods').filter((pod) => pod.node === null && pod.desired === 'running');
    const { pending } = sortPending(this.world.maps, this.planner, waiting);
    const result = schedule(this.planner.state, pending, { random: seeded(1) });
    return result.assignments.map(({ pod, node }) => ({ op: 'put', kind: 'pods', id: pod, value: { ...this.world.get('pods', pod)!, node } }));
  }

  #agents(): readonly Op[] {
    return this.world.values('pods').flatMap((pod): Op[] => {
      const { node } = pod;
      if (node === null) return [];
      if (pod.desired !== 'running') return [{ op: 'delete', kind: 'pods', id: pod.id }, { op: 'delete', kind: 'podstatus', id: pod.id }];
      const job = this.world.get('services', pod.service)?.spec.mode.kind.endsWith('job') === true;
      const value: PodStatus = { id: pod.id, node, phase: job ? 'succeeded' : 'running', ready: !job, message: '', restarts: 0, since: 0, containers: [], ...this.behaviour(pod) };
      const known = this.world.get('podstatus', pod.id);
      return known && JSON.stringify(known) === JSON.stringify(value) ? [] : [{ op: 'put', kind: 'podstatus', id: pod.id, value }];
    });
  }
}

/** Throws what is wrong with the file, readably. */
export function loaded(text: string, input: Partial<Omit<LoadInput, 'files'>> & { readonly files?: Readonly<Record<string, string>> } = {}): StackSpec {
  const { files = {}, ...rest } = input;
  const result = loadStack({ files: [{ path: 'stack.yml', content: text }], env: {}, workingDir: '/srv/shop', readFile: (path) => files[path] ?? null, ...rest });
  if (!result.ok) throw new Error(result.errors.map((error) => formatDiagnostic(error)).join('\n'));
  return result.stack;
}
