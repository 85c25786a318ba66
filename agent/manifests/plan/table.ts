/** The host's own service table: what its proxy needs to know of manifests' pods. It has the shape of a master's, and stands beside it. */
import { serviceEntryOf } from '../../../model/entries.ts';
import type { NetworkEntry, PodEntry, ServiceEntry, ServiceTable } from '../../../model/table.ts';
import { localNetwork, type LocalService } from './expand.ts';
import type { Given, LocalPod, ManifestHost } from './types.ts';

/** The node of all that is in the table: this host, whatever a cluster calls it. Its proxy knows by what. */
const here = 'here';

export function localTable(host: ManifestHost, services: readonly LocalService[], pods: readonly LocalPod[], given: Given): ServiceTable {
  const ready = new Map(pods.map(({ assignment, status, removed }) => [assignment.pod.id, status.ready && !removed]));
  const byService = Map.groupBy(pods, ({ assignment }) => assignment.pod.service);
  const entries = new Map<string, ServiceEntry>();
  for (const { service } of services) {
    const own = (byService.get(service.id) ?? []).map(({ assignment }) => ({ ...assignment.pod, node: here }));
    entries.set(service.id, serviceEntryOf(service.id, service.spec, { vips: given.vips[service.id] ?? [], ports: given.ports[service.id] ?? [] }, own, (pod) => ready.get(pod.id) === true));
  }
  const networks = new Map<string, NetworkEntry>();
  for (const stack of new Set(services.map((local) => local.stack))) {
    for (const { name, internal } of Object.values(stack.spec.networks)) {
      networks.set(localNetwork(name), { name: localNetwork(name), group: networks.size + 1, internal });
    }
  }
  return {
    services: entries,
    pods: new Map(pods.flatMap((pod): [string, PodEntry][] => {
      const entry = entryOf(pod);
      return entry ? [[entry.id, entry]] : [];
    })),
    nodes: new Map([[here, { id: here, name: host.name, address: '', subnet: host.podCidr, vtepMac: '' }]]),
    networks,
  };
}

/** From what the pod was made of: its manifest may say something else by now. */
function entryOf({ assignment, status, removed }: LocalPod): PodEntry | null {
  const { pod, template, networks } = assignment;
  if (pod.ip === null) return null;
  return {
    id: pod.id, ip: pod.ip, node: here, service: pod.service, stack: pod.stack, slot: pod.slot, hostname: template.hostname ?? pod.id, networks,
    ready: pod.desired === 'running' && !removed && status.ready,
  };
}
