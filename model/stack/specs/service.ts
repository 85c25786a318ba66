/** A service's tree → its spec. */
import type { PodTemplate, ServiceSpec } from '../../spec.ts';
import { maxHostname, sampleContext } from '../../template/pod.ts';
import { isTemplate, type TemplateContext } from '../../template/swarm.ts';
import { isAddress } from '../values/address.ts';
import type { StackContext } from './context.ts';
import { makeMode, makeUpdate } from './deploy.ts';
import { makeNetworks } from './networks.ts';
import { makeOnDisconnect } from './disconnect.ts';
import { makePlacement } from './placement/placement.ts';
import { checkJoined } from './pods/joined.ts';
import { makePod } from './pods/pod.ts';
import type { Reader } from './reader.ts';
import { checkTemplate } from './templates.ts';

/** With the underscore of `STACK_SERVICE`, as Docker takes it. */
const hostLabel = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

export function makeService(service: Reader, name: string, context: StackContext): ServiceSpec {
  const deploy = service.at('deploy');
  const mode = makeMode(service);
  const networks = makeNetworks(service, name, context);
  const labels = labelsOf(name, context);
  const sample = sampleContext({ stack: context.stack, name, labels });
  const hostname = hostNameOf(service, 'hostname', sample);
  const domainname = hostNameOf(service, 'domainname', sample);
  const pod = makePod(name, mode.kind === 'replicated-job' || mode.kind === 'global-job', sample, context);
  if (hostname !== undefined && service.text('uts') === 'host') service.at('hostname').error('with uts: host the host\'s name is the container\'s', 'remove hostname, or uts');
  checkSteps(service, name, mode);
  const onDisconnect = makeOnDisconnect(service);
  const template: PodTemplate = {
    containers: pod.containers,
    ...(pod.initContainers === undefined ? {} : { initContainers: pod.initContainers }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(domainname === undefined ? {} : { domainname }),
    networkMode: networks.mode,
    extraHosts: makeHosts(service.at('extra_hosts')),
    dns: addresses(service.at('dns')),
    dnsSearch: service.strings('dns_search') ?? [],
    dnsOptions: service.strings('dns_opt') ?? [],
    sysctls: pod.sysctls,
    restart: pod.restart,
    stopGraceMs: pod.stopGraceMs,
    ...(onDisconnect === undefined ? {} : { onDisconnect }),
    reservations: pod.reservations,
  };
  const endpointMode = deploy.text('endpoint_mode') === 'dnsrr' ? 'dnsrr' : 'vip';
  checkPublished(service, networks.mode, endpointMode, pod.ports);
  const spec: ServiceSpec = {
    stack: context.stack,
    name,
    mode,
    labels,
    template,
    placement: makePlacement(service, context),
    ports: networks.mode === 'pod' ? pod.ports : [],
    networks: networks.attachments,
    endpointMode,
    update: makeUpdate(deploy.at('update_config')),
    rollback: makeUpdate(deploy.at('rollback_config')),
    dependsOn: pod.dependsOn,
  };
  for (const member of context.pods.members(name)) {
    const joined = member === name ? undefined : context.tree(member);
    if (joined) checkJoined(member, joined, spec, context);
  }
  return spec;
}

function checkPublished(service: Reader, mode: PodTemplate['networkMode'], endpointMode: ServiceSpec['endpointMode'], ports: ServiceSpec['ports']): void {
  if (ports.length > 0 && mode === 'host') service.at('ports').warn('ports has no effect: on the host\'s network the container opens its ports itself', 'remove ports');
  if (ports.length > 0 && mode === 'none') service.at('ports').error('a pod without network cannot publish ports', 'remove ports, or network_mode');
  if (endpointMode === 'dnsrr' && mode === 'pod' && ports.some((port) => port.mode === 'ingress')) {
    service.at('deploy').at('endpoint_mode').error('a service with endpoint_mode: dnsrr has no address to publish ingress ports by', 'publish them with mode: host');
  }
}

/** Compose runs a `pre_start` once for the whole service unless told; here it is the pod's. */
function checkSteps(service: Reader, name: string, mode: ServiceSpec['mode']): void {
  const several = mode.kind === 'global' || mode.kind === 'global-job' || (mode.kind === 'replicated' ? mode.replicas : mode.completions) > 1;
  for (const hook of several ? service.at('pre_start').items() : []) {
    const message = `it runs before every pod of ${name}, not once for all of them`;
    const hint = 'say per_replica: true if that is right; else make it a service of its own, with depends_on: condition: service_completed_successfully';
    if (hook.flag('per_replica') === false) hook.at('per_replica').error(message, hint);
    else if (hook.flag('per_replica') === undefined) hook.warn(message, hint);
  }
}

/** Services that share a pod share what is said of it. */
function labelsOf(name: string, context: StackContext): ServiceSpec['labels'] {
  const made: Record<string, string> = {};
  for (const member of context.pods.members(name)) {
    const deploy = context.tree(member)?.at('deploy');
    for (const [key, value] of Object.entries(deploy?.pairs('labels') ?? {})) {
      if (Object.hasOwn(made, key) && made[key] !== value) deploy?.at('labels').at(key).error(`the label ${key} differs from that of ${name}, whose pod it shares`, 'say it once');
      else Object.defineProperty(made, key, { value, enumerable: true, configurable: true, writable: true });
    }
  }
  return made;
}

function makeHosts(hosts: Reader): PodTemplate['extraHosts'] {
  return hosts.children().flatMap(([name, item]) => item.items().flatMap((address) => {
    if (address.node?.kind !== 'scalar') return [];
    return [{ name, ip: address.node.text }];
  }));
}

function addresses(list: Reader): readonly string[] {
  return list.items().flatMap((item) => {
    if (item.node?.kind !== 'scalar') return [];
    if (!isAddress(item.node.text)) item.error(`${JSON.stringify(item.node.text)} is no IP address`);
    return [item.node.text];
  });
}

function hostNameOf(service: Reader, key: 'hostname' | 'domainname', sample: TemplateContext): string | undefined {
  const text = service.text(key);
  if (text === undefined || text === '') return undefined;
  // Docker fills in the host's name alone.
  const filled = key === 'hostname' ? checkTemplate(service.at(key), text, sample) : text;
  if (filled === text && isTemplate(text)) {
    if (key === 'domainname') service.at(key).error('domainname takes no template', 'put it into hostname');
  } else if (filled.length > (key === 'hostname' && filled === text ? maxHostname : 253) || !filled.split('.').every((label) => hostLabel.test(label))) service.at(key).error(`${JSON.stringify(text)} cannot be a host's name`, 'use letters, digits, - and _, 64 of them at most');
  return text;
}
