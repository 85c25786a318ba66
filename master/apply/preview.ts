/**
 * What an apply would do, without doing it: the same deciders over the maps as they would be. Placement is the scheduler's own answer
 * for this moment, so it may differ when the apply comes later.
 */
import type { ApplyResult, FilterReason, PlannedPod, PlannedService, PlanResult } from '../../model/api.ts';
import { podName, type Pod } from '../../model/pod.ts';
import type { Service, Volume } from '../../model/service.ts';
import { podId, sortPending } from '../controllers/pass.ts';
import type { Planner } from '../controllers/planner.ts';
import { diffService } from '../reconcile/diff.ts';
import { reconcileService } from '../reconcile/reconcile.ts';
import { explainService, schedule } from '../scheduler/schedule.ts';
import type { Entry, Kind, Op } from '../store/port.ts';
import type { Maps } from '../world.ts';

export interface PreviewInput {
  readonly maps: Maps;
  readonly ops: readonly Op[];
  readonly result: ApplyResult;
  readonly planner: Planner;
}

const actions = { created: 'create', updated: 'update', removed: 'remove', unchanged: 'unchanged' } as const;

export function preview(input: PreviewInput): PlanResult {
  const after = overlay(input.maps, input.ops);
  return withVolumes(input, () => {
    const drafts = Object.entries(input.result.services).sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, verdict]) => draftOf(input, after, id, actions[verdict]));
    // All at once: pods of one service take room from another, and may want to be beside it or not.
    const { pending } = sortPending(after, input.planner, drafts.flatMap(({ created, replacements }) => [...created, ...replacements]), () => []);
    const placed = schedule(input.planner.state, pending, { random: () => 0 });
    const places: Places = { nodes: new Map(placed.assignments.map(({ pod, node }) => [pod, node])), reasons: new Map(placed.unplaced.map(({ pod, reasons: why }) => [pod, why])) };
    return { stack: input.result.stack, services: drafts.map((draft) => previewService(input, draft, places)) };
  });
}

/** What becomes of a service's pods, before the new ones have a place. */
interface Draft {
  readonly id: string;
  readonly action: PlannedService['action'];
  readonly old: Service | undefined;
  readonly next: Service | undefined;
  readonly running: readonly Pod[];
  readonly stopped: ReadonlySet<string>;
  readonly created: readonly Pod[];
  readonly replacements: readonly Pod[];
}

interface Places {
  readonly nodes: ReadonlyMap<string, string>;
  readonly reasons: ReadonlyMap<string, readonly FilterReason[]>;
}

function draftOf({ planner, maps }: PreviewInput, after: Maps, id: string, action: PlannedService['action']): Draft {
  const old = maps.services.get(id)?.value;
  const next = after.services.get(id)?.value;
  const running = planner.podsOf(id).filter((pod) => pod.desired === 'running');
  if (!next) return { id, action, old, next, running, stopped: new Set(), created: [], replacements: [] };
  const decided = planner.input(id, after, performance.now());
  const plan = decided ? reconcileService(decided) : null;
  const stopped = new Set(plan?.actions.flatMap((step) => (step.kind === 'create' ? [] : [step.pod])));
  const created = plan ? plan.actions.flatMap((step) => (step.kind === 'create' ? [newPod(next, step.slot, step.revision)] : [])) : [];
  // An update goes step by step; the plan shows where it ends: every pod of another revision is replaced, and all of one that is to be
  // restarted after what it depends on.
  const again = next.restartAfter !== undefined;
  const replacements = running.filter((pod) => !stopped.has(pod.id) && (again || pod.revision !== next.revision)).map((pod) => newPod(next, pod.slot, next.revision));
  return { id, action, old, next, running, stopped, created, replacements };
}

function previewService({ planner, maps }: PreviewInput, { id, action, old, next, running, stopped, created, replacements }: Draft, { nodes, reasons }: Places): PlannedService {
  const diff = old && next ? diffService(old.spec, next.spec) : { restarts: action !== 'unchanged', changes: [] };
  const nodeName = (node: string | null) => (node === null ? null : (maps.nodes.get(node)?.value.name ?? node));
  const known = (pod: Pod, what: PlannedPod['action']): PlannedPod => ({ name: podName(id, slotName(maps, pod.slot)), action: what, node: nodeName(pod.node), why: [] });
  if (!next) return { id, action, restarts: false, changes: [], pods: running.map((pod) => known(pod, 'stop')) };

  const elsewhere: readonly FilterReason[] = created.length + replacements.length > 0 ? explainService(planner.state, id, next.revision, next.spec) : [];
  const fresh = (pod: Pod, what: PlannedPod['action']): PlannedPod => ({
    name: podName(id, slotName(maps, pod.slot)), action: what, node: nodeName(nodes.get(pod.id) ?? null), why: reasons.get(pod.id) ?? elsewhere,
  });
  const again = next.restartAfter !== undefined;
  const kept = again ? [] : running.filter((pod) => !stopped.has(pod.id) && pod.revision === next.revision);
  const slots = new Set(created.map((pod) => pod.slot));
  return {
    id, action, restarts: diff.restarts || again, changes: diff.changes,
    pods: [
      ...kept.map((pod) => known(pod, 'keep')),
      ...running.filter((pod) => stopped.has(pod.id) && !slots.has(pod.slot)).map((pod) => known(pod, replacedLater(pod, next.revision) ? 'replace' : 'stop')),
      ...created.map((pod) => fresh(pod, running.some((other) => other.slot === pod.slot) ? 'replace' : 'create')),
      ...replacements.map((pod) => fresh(pod, 'replace')),
    ].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true })),
  };
}

function newPod(service: Service, slot: number | string, revision: string): Pod {
  return { id: podId(), service: service.id, stack: service.spec.stack, slot, revision, desired: 'running', reason: '', node: null, ip: null, createdAt: 0 };
}

/** Stop-first: the pod goes before its replacement is made. */
function replacedLater(pod: Pod, revision: string): boolean {
  return pod.revision !== revision;
}

function slotName(maps: Maps, slot: number | string): number | string {
  return typeof slot === 'string' ? (maps.nodes.get(slot)?.value.name ?? slot) : slot;
}

/** The maps as they will be once the operations are applied. Only the kinds touched are copied. */
function overlay(maps: Maps, ops: readonly Op[]): Maps {
  const copies = new Map<Kind, Map<string, Entry<Kind>>>();
  for (const op of ops) {
    let copy = copies.get(op.kind);
    if (!copy) copies.set(op.kind, (copy = new Map(maps[op.kind] as ReadonlyMap<string, Entry<Kind>>)));
    if (op.op === 'delete') copy.delete(op.id);
    else copy.set(op.id, { kind: op.kind, id: op.id, value: op.value, revision: 0 });
  }
  return { ...maps, ...Object.fromEntries(copies) } as Maps;
}

/** Runs with the volumes that the apply would make known to the scheduler, and takes them back. */
function withVolumes<T>({ planner, maps, ops }: PreviewInput, run: () => T): T {
  const fresh = ops.flatMap((op) => (op.op === 'put' && op.kind === 'volumes' && !maps.volumes.has(op.id) ? [op.value as Volume] : []));
  for (const volume of fresh) planner.state.setVolume(volume);
  try {
    return run();
  } finally {
    for (const volume of fresh) planner.state.removeVolume(volume.name);
  }
}
