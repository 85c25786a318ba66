/** How far a service is, decided from what the master lists. Pure, so that every case has a test. */
import type { PodListItem, ServiceListItem } from '../../model/api.ts';

export interface Progress {
  readonly id: string;
  readonly state: 'ready' | 'waiting' | 'failed';
  readonly ready: number;
  readonly desired: number;
  /** One line each, most telling first. */
  readonly reasons: readonly string[];
}

/**
 * Ready: as many pods of the revision in force serve as the service wants, none of another revision is still wanted, and no
 * update is under way. A job is ready when it has run to its end, and so is a pod of another service that ended well for good: what others
 * wait for with `service_completed_successfully` never serves.
 */
export function progressOf(service: ServiceListItem, pods: readonly PodListItem[]): Progress {
  const own = pods.filter((pod) => pod.service === service.id || pod.service === service.name);
  const current = own.filter((pod) => pod.revision === service.revision);
  const job = service.mode.endsWith('-job');
  const ready = current.filter((pod) => pod.state === 'succeeded' ? job || pod.desired === 'running' : !job && pod.ready && pod.desired === 'running').length;
  const surplus = own.filter((pod) => pod.desired === 'running' && !isOver(pod) && pod.revision !== service.revision).length;
  const base = { id: service.id, ready: Math.min(ready, service.desired), desired: service.desired };
  const { update } = service;
  if (update.state === 'paused' || update.state === 'rolled-back') {
    return { ...base, state: 'failed', reasons: [`update ${update.state}${update.message ? `: ${update.message}` : ''}`, ...reasonsOf(current)] };
  }
  const moving = update.state === 'updating' || update.state === 'rolling-back';
  if (ready >= service.desired && surplus === 0 && !moving) return { ...base, state: 'ready', reasons: [] };
  const reasons = reasonsOf(current.filter((pod) => !pod.ready));
  if (reasons.length === 0 && surplus > 0) reasons.push(`${surplus} of the previous version still to be replaced`);
  if (reasons.length === 0 && update.message) reasons.push(update.message);
  return { ...base, state: 'waiting', reasons };
}

function isOver(pod: PodListItem): boolean {
  return pod.state === 'succeeded' || pod.state === 'failed' || pod.state === 'lost';
}

/** The same reason of several pods is said once, with how many it holds up. */
function reasonsOf(pods: readonly PodListItem[]): string[] {
  const byReason = new Map<string, PodListItem[]>();
  for (const pod of pods) {
    if (pod.desired !== 'running' && !isOver(pod)) continue;
    if (pod.state === 'succeeded') continue;
    const reason = pod.message || pod.state;
    byReason.set(reason, [...(byReason.get(reason) ?? []), pod]);
  }
  return [...byReason].map(([reason, held]) => (held.length === 1 ? `${held[0]?.name}: ${reason}` : `${held.length} pods: ${reason}`));
}
