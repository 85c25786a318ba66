/** A service's tree → its spec. */
import type { Dependency, PodTemplate, ServiceSpec } from '../../spec.ts';
import { didYouMean } from '../suggest.ts';
import { isAddress } from '../values/address.ts';
import { makeContainer } from './container.ts';
import type { StackContext } from './context.ts';
import { makeMode, makeRestart, makeUpdate } from './deploy.ts';
import { makeLimits } from './limits.ts';
import { makeNetworks } from './networks.ts';
import { makePlacement } from './placement/placement.ts';
import { makePorts } from './ports.ts';
import type { Reader } from './reader.ts';

const hostLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

export function makeService(service: Reader, name: string, context: StackContext): ServiceSpec {
  const deploy = service.at('deploy');
  const mode = makeMode(service);
  const job = mode.kind === 'replicated-job' || mode.kind === 'global-job';
  const { limits, reservations } = makeLimits(service);
  const networks = makeNetworks(service, name, context);
  const hostname = hostNameOf(service, 'hostname');
  const domainname = hostNameOf(service, 'domainname');
  const template: PodTemplate = {
    containers: [makeContainer(service, name, limits, context)],
    ...(hostname === undefined ? {} : { hostname }),
    ...(domainname === undefined ? {} : { domainname }),
    networkMode: networks.mode,
    extraHosts: makeHosts(service.at('extra_hosts')),
    dns: addresses(service.at('dns')),
    dnsSearch: service.strings('dns_search') ?? [],
    dnsOptions: service.strings('dns_opt') ?? [],
    sysctls: service.pairs('sysctls'),
    restart: makeRestart(service, job || context.awaited.has(name), job),
    stopGraceMs: service.ms('stop_grace_period') ?? 10_000,
    reservations,
  };
  const ports = makePorts(service);
  if (ports.length > 0 && networks.mode === 'host') service.at('ports').warn('ports has no effect: on the host\'s network the container opens its ports itself', 'remove ports');
  if (ports.length > 0 && networks.mode === 'none') service.at('ports').error('a pod without network cannot publish ports', 'remove ports, or network_mode');
  const endpointMode = deploy.text('endpoint_mode') === 'dnsrr' ? 'dnsrr' : 'vip';
  if (endpointMode === 'dnsrr' && networks.mode === 'pod' && ports.some((port) => port.mode === 'ingress')) {
    deploy.at('endpoint_mode').error('a service with endpoint_mode: dnsrr has no address to publish ingress ports by', 'publish them with mode: host');
  }
  return {
    stack: context.stack,
    name,
    mode,
    labels: deploy.pairs('labels'),
    template,
    placement: makePlacement(service, context),
    ports: networks.mode === 'pod' ? ports : [],
    networks: networks.attachments,
    endpointMode,
    update: makeUpdate(deploy.at('update_config')),
    rollback: makeUpdate(deploy.at('rollback_config')),
    dependsOn: makeDependencies(service, name, context),
  };
}

/** `depends_on`, and `links` and `volumes_from`, which imply it. */
function makeDependencies(service: Reader, name: string, context: StackContext): readonly Dependency[] {
  const made = new Map<string, Dependency>();
  const known = (target: string, required: boolean, at: Reader): boolean => {
    if (target === name) at.error(`the service ${name} cannot depend on itself`);
    else if (context.services.has(target)) return true;
    else if (required) {
      const profiles = context.inactive.get(target);
      if (profiles) at.error(`${target} belongs to the profile ${profiles.join(', ')}, which is not switched on`, `apply with --profile ${profiles[0] ?? ''}`);
      else at.error(`there is no service ${JSON.stringify(target)}`, didYouMean(target, context.services));
    }
    return false;
  };
  for (const [target, item] of service.at('depends_on').children()) {
    const required = item.flag('required') ?? true;
    if (!known(target, required, item)) continue;
    made.set(target, { service: target, condition: (item.text('condition') ?? 'service_started') as Dependency['condition'], required, restart: item.flag('restart') ?? false });
  }
  for (const item of service.at('links').items()) {
    const target = item.node?.kind === 'scalar' ? item.node.text.split(':', 1)[0] ?? '' : '';
    if (known(target, true, item) && !made.has(target)) made.set(target, { service: target, condition: 'service_started', required: true, restart: false });
  }
  for (const item of service.at('volumes_from').items()) {
    const target = item.node?.kind === 'scalar' ? item.node.text.split(':', 1)[0] ?? '' : '';
    if (context.services.has(target) && target !== name && !made.has(target)) made.set(target, { service: target, condition: 'service_started', required: true, restart: false });
  }
  return [...made.values()];
}

function makeHosts(hosts: Reader): PodTemplate['extraHosts'] {
  return hosts.children().flatMap(([name, item]) => item.items().flatMap((address) => {
    if (address.node?.kind !== 'scalar') return [];
    const ip = address.node.text;
    if (ip === 'host-gateway') address.error('host-gateway is not supported yet', 'write the address of a node');
    return [{ name, ip }];
  }));
}

function addresses(list: Reader): readonly string[] {
  return list.items().flatMap((item) => {
    if (item.node?.kind !== 'scalar') return [];
    if (!isAddress(item.node.text)) item.error(`${JSON.stringify(item.node.text)} is no IP address`);
    return [item.node.text];
  });
}

function hostNameOf(service: Reader, key: 'hostname' | 'domainname'): string | undefined {
  const text = service.text(key);
  if (text === undefined || text === '') return undefined;
  if (text.includes('{{')) service.at(key).error(`the template ${text} is not supported yet`, 'without hostname, every pod has a name of its own');
  else if (text.length > 253 || !text.split('.').every((label) => hostLabel.test(label))) service.at(key).error(`${JSON.stringify(text)} cannot be a host's name`, 'use letters, digits and -');
  return text;
}
