/** What a service that joined another one's pod cannot have for itself. */
import type { ServiceSpec } from '../../../spec.ts';
import { toJson } from '../../parse/tree.ts';
import type { StackContext } from '../context.ts';
import { makeMode, makeUpdate } from '../deploy.ts';
import { makePlacement } from '../placement/placement.ts';
import type { Reader } from '../reader.ts';

/** Of the namespaces that the containers share, and of the pod as a whole. */
const common = ['hostname', 'domainname', 'extra_hosts', 'dns', 'dns_search', 'dns_opt', 'mac_address', 'x-on-disconnect'] as const;

type Owner = Pick<ServiceSpec, 'name' | 'mode' | 'placement' | 'update' | 'rollback' | 'endpointMode'>;

export function checkJoined(member: string, service: Reader, owner: Owner, context: StackContext): void {
  const host = context.tree(owner.name);
  const deploy = service.at('deploy');
  const differ = (at: Reader, what: string): void => at.error(`${what} of ${member} differs from that of ${owner.name}, whose pod it shares`, `remove it, and say it in ${owner.name}`);
  for (const key of common) {
    const own = service.at(key);
    if (own.node && JSON.stringify(toJson(own.node)) !== JSON.stringify(host?.at(key).node ? toJson(host.at(key).node as NonNullable<Reader['node']>) : null)) differ(own, key);
  }
  if (service.at('networks').entries.size > 0) service.at('networks').error(`networks and network_mode exclude each other: ${member} has the networks of ${owner.name}`, 'keep one of them');
  const counted = deploy.has('replicas') || service.has('scale') || deploy.has('mode');
  if (counted) {
    const mode = makeMode(service);
    const kind = deploy.has('mode') ? mode.kind : owner.mode.kind;
    const count = (made: ServiceSpec['mode']): number | undefined => (made.kind === 'replicated' ? made.replicas : made.kind === 'replicated-job' ? made.completions : undefined);
    const at = deploy.has('replicas') ? deploy.at('replicas') : service.has('scale') ? service.at('scale') : deploy.at('mode');
    if (kind !== owner.mode.kind || ((deploy.has('replicas') || service.has('scale')) && count(mode) !== count(owner.mode))) differ(at, at.path?.key === 'mode' ? 'mode' : 'the number of replicas');
  }
  for (const [key, theirs] of [['update_config', owner.update], ['rollback_config', owner.rollback]] as const) {
    const at = deploy.at(key);
    if (at.node && JSON.stringify(makeUpdate(at)) !== JSON.stringify(theirs)) differ(at, key);
  }
  if (deploy.has('endpoint_mode') && deploy.text('endpoint_mode') !== owner.endpointMode) differ(deploy.at('endpoint_mode'), 'endpoint_mode');
  checkPlacement(service, owner, context, differ);
}

const placing = ['x-affinities', 'x-constraints', 'x-placement', 'platform'] as const;

/** A placement of its own may only say again what the pod's says. */
function checkPlacement(service: Reader, owner: Owner, context: StackContext, differ: (at: Reader, what: string) => void): void {
  const placement = makePlacement(service, context);
  const { affinities, constraints, operators, reschedule, spread, maxPerNode, strategy } = placement;
  const silent = constraints.length === 0 && !affinities && !operators && reschedule === undefined && spread.length === 0 && maxPerNode === 0 && strategy === 'spread';
  if (silent || JSON.stringify(placement) === JSON.stringify(owner.placement)) return;
  const key = placing.find((one) => service.has(one));
  const at = service.at('deploy').at('placement').entries.size > 0 ? service.at('deploy').at('placement') : key === undefined ? service.at('environment') : service.at(key);
  differ(at, key === undefined || at.path?.key === 'placement' ? 'the placement' : key);
}
