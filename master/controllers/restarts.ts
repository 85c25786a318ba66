/** `depends_on` with `restart: true`: services that follow others are restarted once these, changed by hand, are well again. */
import { type GateWorld, restartGate } from '../../model/gate.ts';
import { restarted, withRestarts } from '../../model/restarts.ts';
import type { Service } from '../../model/service.ts';
import type { Op } from '../store/port.ts';
import type { Maps } from '../world.ts';

/** Notes for every service that follows one of the changed that it is to be restarted after it. Pure. */
export function markFollowers(maps: Maps, changed: ReadonlySet<string>): Op[] {
  return Array.from(maps.services.values()).flatMap(({ id, value, revision }): Op[] => {
    const next = withRestarts(value, changed);
    return next === value ? [] : [{ op: 'put', kind: 'services', id, value: next, guard: revision }];
  });
}

export interface RestartPlan {
  readonly ops: readonly Op[];
  /** Whose record is written: they are planned for when that is seen. */
  readonly services: ReadonlySet<string>;
  /** Of the others that are to be restarted: what they wait for. */
  readonly waits: ReadonlyMap<string, readonly string[]>;
  readonly restarted: readonly string[];
}

/**
 * What becomes of the services that are to be restarted after others. A restart is one of those that others follow in turn. One that
 * has no pods of its revision yet needs none: these come after what it waits for anyway.
 */
export function planRestarts(maps: Maps, marked: Iterable<string>, world: GateWorld): RestartPlan {
  const next = new Map<string, Service>();
  const waits = new Map<string, readonly string[]>();
  const again: string[] = [];
  const ops: Op[] = [];
  for (const id of marked) {
    const service = maps.services.get(id)?.value;
    if (!service?.restartAfter) continue;
    const gate = restartGate(service, world);
    if (gate.waits.length > 0) {
      waits.set(id, gate.waits);
      continue;
    }
    const { restartAfter: _done, ...rest } = service;
    const running = gate.due && world.pods(id).some((pod) => pod.desired === 'running' && pod.revision === service.revision && pod.node !== null);
    if (!running) {
      next.set(id, rest);
      continue;
    }
    const value = restarted(rest);
    again.push(id);
    next.set(id, value);
    ops.push({ op: 'put', kind: 'revisions', id: `${id}.${value.revision}`, value: { service: id, revision: value.revision, spec: value.spec } });
    const status = maps.servicestatus.get(id);
    if (status) ops.push({ op: 'put', kind: 'servicestatus', id, value: { ...status.value, update: { state: 'updating', message: 'restart' } }, guard: status.revision });
  }
  const changed = new Set(again);
  for (const { id, value } of maps.services.values()) {
    const own = next.get(id) ?? value;
    const marked2 = withRestarts(own, changed);
    if (marked2 !== own) {
      next.set(id, marked2);
      waits.delete(id);
    }
  }
  for (const [id, value] of next) ops.push({ op: 'put', kind: 'services', id, value, guard: maps.services.get(id)?.revision ?? 0 });
  return { ops, services: new Set(next.keys()), waits, restarted: again };
}
