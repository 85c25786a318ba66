/**
 * The heart of the leader: services → pods → nodes. One pass looks at the services something happened to, decides what pods they need,
 * places those that have no node, and commits it all together, so that a pod is usually born with its place and address.
 */
import { randomBytes } from 'node:crypto';
import { Loop } from '../../lib/loop.ts';
import type { Pod } from '../../model/pod.ts';
import { commitAsLeader, type Context } from '../context.ts';
import { gate, type GateWorld } from '../../model/gate.ts';
import { opsOf, podOps } from '../reconcile/ops.ts';
import type { PodAction } from '../reconcile/plan.ts';
import { reconcileRemoved, reconcileService } from '../reconcile/reconcile.ts';
import type { PendingPod } from '../scheduler/group.ts';
import { schedule, type ScheduleResult } from '../scheduler/schedule.ts';
import type { Entry, Op } from '../store/port.ts';
import type { Maps, World } from '../world.ts';
import { NameGiver } from './names.ts';
import type { PendingReason } from './pending.ts';
import type { Planner } from './planner.ts';
import { planRestarts } from './restarts.ts';
import { volumeOps, type Placed } from './volume-ops.ts';

export function startPlanner(context: Context, planner: Planner, signal: AbortSignal): Loop {
  const { world, clock, log } = context;
  planner.work.all();
  const loop = new Loop({
    name: 'planner', clock, log, signal, backoffMs: 20, maxBackoffMs: 2_000,
    run: async () => {
      const nextNode = planner.tick();
      const work = planner.work.take(performance.now());
      const seen = world.revision;
      try {
        await pass(context, planner, work);
      } catch (error) {
        planner.work.all();
        throw error;
      } finally {
        planner.settle(seen);
      }
      const waits = [nextNode, planner.work.next(performance.now())].filter((ms) => ms !== undefined);
      return waits.length === 0 ? undefined : Math.max(5, Math.min(...waits));
    },
  });
  planner.work.onWork(() => loop.mark(), signal);
  world.subscribe(() => {
    if (!planner.work.idle) loop.mark();
  }, signal);
  loop.mark();
  return loop;
}

/** One decision and its commit. */
async function pass(context: Context, planner: Planner, work: { readonly services: ReadonlySet<string> | 'all' }): Promise<void> {
  const { world, events, clock } = context;
  const now = performance.now();
  const ids = work.services === 'all' ? new Set([...world.maps.services.keys(), ...planner.servicesWithPods()]) : work.services;
  const restarts = planRestarts(world.maps, planner.restarting, gateWorld(world.maps, planner));
  for (const id of restarts.restarted) events.add(`service/${id}`, 'restarted after what it depends on');
  const ops: Op[] = [...restarts.ops];
  const created: Pod[] = [];
  const gone = new Set<string>();
  for (const id of new Set([...ids, ...restarts.waits.keys()])) {
    // Its record is being written: it is planned for when that is seen.
    if (restarts.services.has(id)) continue;
    const waitsFor = restarts.waits.get(id);
    const known = planner.input(id, world.maps, now);
    const input = known && waitsFor ? { ...known, waitsFor } : known;
    if (!input) {
      planner.work.alarm(id, null);
      const pods = planner.podsOf(id);
      const actions = reconcileRemoved({ pods, statuses: planner.statusesOf(pods), nodes: planner.views });
      ops.push(...podOps(actions, (pod) => world.entry('pods', pod)));
      note(events, actions, gone);
      continue;
    }
    const plan = reconcileService(input);
    planner.work.alarm(id, plan.wakeAt);
    if (plan.update) events.add(`service/${id}`, `update ${plan.update.state}${plan.update.message === '' ? '' : `: ${plan.update.message}`}`);
    note(events, plan.actions, gone);
    for (const op of opsOf(plan, { service: world.entry('services', id) as Entry<'services'>, status: world.entry('servicestatus', id), pods: (pod) => world.entry('pods', pod), newId: podId, now: clock.now() })) {
      // New pods are committed with their place, further down.
      if (op.op === 'put' && op.kind === 'pods' && op.guard === 0) created.push(op.value);
      else ops.push(op);
    }
  }
  const waiting = Array.from(world.maps.pods.values(), (entry) => entry.value).filter((pod) => pod.node === null && pod.desired === 'running' && !gone.has(pod.id));
  const { pending, gated } = sortPending(world.maps, planner, [...waiting, ...created]);
  const result = schedule(planner.state, pending, { random: Math.random });
  ops.push(...placeOps(world, planner, result, [...waiting, ...created], created, clock.now()));
  planner.pending.replace(reasonsOf(result, gated));
  try {
    await commitAsLeader(context, ops);
  } catch (error) {
    for (const op of ops) if (op.op === 'put' && op.kind === 'pods' && op.value.node !== null && op.value.ip !== null && world.get('pods', op.id)?.ip !== op.value.ip) planner.releaseAddress(op.value.node, op.value.ip);
    throw error;
  }
}

const verbs = { drain: 'draining', stop: 'stopping', delete: 'removed' } as const;

function note(events: Context['events'], actions: readonly PodAction[], gone: Set<string>): void {
  for (const action of actions) {
    if (action.kind === 'create') continue;
    gone.add(action.pod);
    events.add(`pod/${action.pod}`, `${verbs[action.kind]}: ${action.reason}`);
  }
}

const letters = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ten letters, the first of them no digit: it is a host name too. */
export function podId(): string {
  const bytes = randomBytes(10);
  return Array.from(bytes, (byte, i) => (i === 0 ? letters[10 + (byte % 22)] : letters[byte % 32])).join('');
}

function gateWorld(maps: Maps, planner: Pick<Planner, 'podsOf'>): GateWorld {
  return { service: (id) => maps.services.get(id)?.value, pods: (id) => planner.podsOf(id), status: (id) => maps.podstatus.get(id)?.value };
}

/** Pods that may be placed now, and those that wait for what they depend on. */
export function sortPending(maps: Maps, planner: Pick<Planner, 'podsOf'>, pods: readonly Pod[], ask: typeof gate = gate): { readonly pending: readonly PendingPod[]; readonly gated: ReadonlyMap<string, PendingReason> } {
  const pending: PendingPod[] = [];
  const gated = new Map<string, PendingReason>();
  const gates = new Map<string, readonly string[]>();
  for (const pod of pods) {
    const service = maps.services.get(pod.service)?.value;
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec ?? (service?.revision === pod.revision ? service.spec : undefined);
    if (!service || !spec) continue;
    let reasons = gates.get(pod.service);
    if (!reasons) {
      reasons = ask(service, gateWorld(maps, planner));
      gates.set(pod.service, reasons);
    }
    // What the placement says now holds, also for pods of an older revision.
    if (reasons.length === 0) pending.push({ pod, spec: { ...spec, placement: service.spec.placement } });
    else gated.set(pod.id, { summary: reasons.join(', '), why: [] });
  }
  return { pending, gated };
}

function placeOps(world: World, planner: Planner, result: ScheduleResult, pods: readonly Pod[], created: readonly Pod[], now: number): readonly Op[] {
  const byId = new Map(pods.map((pod) => [pod.id, pod]));
  const fresh = new Set(created.map((pod) => pod.id));
  const ops: Op[] = [];
  const placed = new Set<string>();
  const places: Placed[] = [];
  const names = new NameGiver(world.maps);
  for (const { pod: id, node } of result.assignments) {
    const pod = byId.get(id);
    const spec = pod && world.get('revisions', `${pod.service}.${pod.revision}`)?.spec;
    const mode = spec?.template.networkMode;
    if (!pod) continue;
    const ip = mode === 'pod' ? planner.nextAddress(node) : null;
    if (mode === 'pod' && ip === null) continue;
    placed.add(id);
    if (spec) places.push({ pod, spec, node });
    const generic = spec && names.give(node, spec.template.reservations.generic);
    ops.push({ op: 'put', kind: 'pods', id, value: { ...pod, node, ip, ...(generic ? { generic } : {}) }, guard: fresh.has(id) ? 0 : (world.entry('pods', id)?.revision ?? 0) });
  }
  for (const pod of created) if (!placed.has(pod.id)) ops.push({ op: 'put', kind: 'pods', id: pod.id, value: pod, guard: 0 });
  // Before the pods: none may be where its data is not.
  return [...volumeOps(world.maps, places, result.bindings, now), ...ops];
}

function reasonsOf(result: ScheduleResult, gated: ReadonlyMap<string, PendingReason>): ReadonlyMap<string, PendingReason> {
  const reasons = new Map<string, PendingReason>(gated);
  for (const { pod, summary, reasons: why } of result.unplaced) reasons.set(pod, { summary, why });
  return reasons;
}
