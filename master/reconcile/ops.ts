/** A plan as writes to the store, each guarded by what the plan was made from. */
import type { Pod } from '../../model/pod.ts';
import type { ServiceStatus } from '../../model/service.ts';
import type { Entry, Op } from '../store/port.ts';
import type { PodAction, ServicePlan } from './plan.ts';

export interface OpsContext {
  readonly service: Entry<'services'>;
  readonly status: Entry<'servicestatus'> | undefined;
  readonly pods: (id: string) => Entry<'pods'> | undefined;
  /** A new id, unique for ever. */
  readonly newId: () => string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export function opsOf(plan: ServicePlan, context: OpsContext): readonly Op[] {
  const { service, status } = context;
  const ops: Op[] = podOps(plan.actions, context.pods, (slot, revision) => ({
    id: context.newId(), service: service.id, stack: service.value.spec.stack, slot, revision,
    desired: 'running', reason: '', node: null, ip: null, createdAt: context.now,
  }));
  if (plan.rollback) ops.push({ op: 'put', kind: 'services', id: service.id, value: plan.rollback, guard: service.revision });
  if (plan.update) {
    const value: ServiceStatus = { ...(status?.value ?? { id: service.id, vips: [], ports: [] }), update: plan.update };
    ops.push({ op: 'put', kind: 'servicestatus', id: service.id, value, guard: status?.revision ?? 0 });
  }
  return ops;
}

/** Actions on pods that are not there any more are left out: somebody was faster, and the next plan sees it. */
export function podOps(
  actions: readonly PodAction[],
  pods: (id: string) => Entry<'pods'> | undefined,
  make?: (slot: number | string, revision: string) => Pod,
): Op[] {
  return actions.flatMap((action): Op[] => {
    if (action.kind === 'create') {
      const pod = make?.(action.slot, action.revision);
      return pod ? [{ op: 'put', kind: 'pods', id: pod.id, value: pod, guard: 0 }] : [];
    }
    const entry = pods(action.pod);
    if (!entry) return [];
    switch (action.kind) {
      case 'drain': return [{ op: 'put', kind: 'pods', id: entry.id, value: { ...entry.value, desired: 'draining', reason: action.reason }, guard: entry.revision }];
      case 'stop': return [{ op: 'put', kind: 'pods', id: entry.id, value: { ...entry.value, desired: 'stopped', reason: action.reason }, guard: entry.revision }];
      case 'delete': return [{ op: 'delete', kind: 'pods', id: entry.id, guard: entry.revision }];
    }
  });
}

/** One line per action: `create 3 (r2)`, `drain x7k2: updated`. */
export function describeAction(action: PodAction): string {
  return action.kind === 'create' ? `create ${action.slot} (${action.revision})` : `${action.kind} ${action.pod}: ${action.reason}`;
}

/** The plan as text, a line per decision. */
export function describePlan(plan: ServicePlan): string {
  const lines = plan.actions.map(describeAction);
  if (plan.update) lines.push(`update: ${plan.update.state}${plan.update.message === '' ? '' : ` (${plan.update.message})`}`);
  if (plan.rollback) lines.push(`roll back to ${plan.rollback.revision}`);
  if (plan.wakeAt !== null) lines.push(`again at ${plan.wakeAt}`);
  return lines.length === 0 ? 'nothing to do' : lines.join('\n');
}
