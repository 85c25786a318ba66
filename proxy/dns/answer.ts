/**
 * What a pod is told when it asks for a name. Pure: the same question, asker and table give the same answer.
 *
 * A name exists for a pod only through a network that both are on. Within its own stack a pod finds services and pods by
 * their short names; things of other stacks on a shared network come second. What is not ours is asked of the host's name
 * servers, except what would tell them about us: names of the pod's own stack, full names of services, and short names
 * known anywhere in the cluster. A foreign alias with dots in it (`api.example.com`) is no reason to hide the public name.
 */
import type { PodEntry, ServiceEntry } from '../../model/table.ts';
import { isSealed } from '../rules/pods.ts';
import { formatIp4, ip4Bytes, parseIp4 } from '../rules/address.ts';
import { dnsClass, dnsType, rcode } from './message.ts';
import type { DnsRecord, Query, Rcode } from './message.ts';
import type { Names } from './names.ts';

/** Seconds. A virtual address stays with its service; pods come and go. */
const ttl = { vip: 5, pod: 1, rotated: 0 } as const;

export type Answer =
  | { readonly kind: 'answer'; readonly rcode: Rcode; readonly records: readonly DnsRecord[] }
  /** Ask these, the pod's own; absent: the host's name servers. */
  | { readonly kind: 'forward'; readonly servers?: readonly string[] };

export interface View {
  readonly names: Names;
  /** The address that asks. */
  readonly asker: string;
  /** Counts up with every question: which endpoint comes first. */
  readonly turn: number;
}

const nothing = (code: Rcode): Answer => ({ kind: 'answer', rcode: code, records: [] });

export function answer(query: Query, { names, asker, turn }: View): Answer {
  const { question, opcode } = query;
  if (opcode !== 0) return nothing(rcode.notImplemented);
  const pod = names.podAt(asker);
  // A pod that the table does not list yet asks again; strangers are no business of ours.
  if (!pod) return nothing(names.isPodAddress(parseIp4(asker) ?? -1) ? rcode.serverFailure : rcode.refused);
  if (question.class !== dnsClass.internet && question.class !== dnsClass.any) return nothing(rcode.refused);
  const outside: Answer = isSealed(pod, names.table.networks) ? nothing(rcode.nameError) : { kind: 'forward', ...(pod.dns ? { servers: pod.dns } : {}) };

  const reverse = reverseAddress(question.name);
  if (reverse !== undefined) return answerReverse(reverse, question.type, pod, names, outside);

  const found = resolve(question.name, pod, names, turn);
  if (found === 'unknown') return outside;
  if (found === 'hidden') return nothing(rcode.nameError);
  const wanted = question.type === dnsType.a || question.type === dnsType.any;
  return { kind: 'answer', rcode: rcode.noError, records: wanted ? found : [] };
}

/** A service, and its address on the network by which the pod sees it; empty when it has none. */
interface Sight {
  readonly service: ServiceEntry;
  readonly vip: string;
}

/** `hidden`: it exists, but not for this pod. */
function resolve(name: string, pod: PodEntry, names: Names, turn: number): readonly DnsRecord[] | 'unknown' | 'hidden' {
  if (name.startsWith('tasks.')) {
    const rest = name.slice('tasks.'.length);
    const seen = servicesSeen(rest, pod, names);
    const own = seen.filter(({ service }) => service.stack === pod.stack);
    if (seen.length > 0) return (own.length > 0 ? own : seen).flatMap(({ service }) => endpointRecords(service, turn));
    return hides(rest, pod, names) ? 'hidden' : 'unknown';
  }
  const services = servicesSeen(name, pod, names);
  const pods = podsSeen(name, pod, names);
  for (const sameStack of [true, false]) {
    const near = services.filter(({ service }) => (service.stack === pod.stack) === sameStack);
    if (near.length > 0) return near.flatMap(({ service, vip }) => (vip === '' ? endpointRecords(service, turn) : addressRecords([vip], ttl.vip)));
    const siblings = pods.filter((other) => (other.stack === pod.stack) === sameStack);
    if (siblings.length > 0) return siblings.flatMap((other) => addressRecords([other.ip], ttl.pod));
  }
  return hides(name, pod, names) ? 'hidden' : 'unknown';
}

/** Each service once, by the first of its networks that the pod is on. */
function servicesSeen(name: string, pod: PodEntry, names: Names): readonly Sight[] {
  const found = new Map<string, ServiceEntry>();
  for (const network of pod.networks) for (const service of names.servicesOn(network, name)) found.set(service.id, service);
  return [...found.values()].map((service) => ({
    service,
    vip: service.networks.find(({ network }) => pod.networks.includes(network) && names.servicesOn(network, name).includes(service))?.vip ?? '',
  }));
}

function podsSeen(name: string, pod: PodEntry, names: Names): readonly PodEntry[] {
  const found = new Map<string, PodEntry>();
  for (const network of pod.networks) for (const other of names.podsOn(network, name)) found.set(other.id, other);
  return [...found.values()];
}

/** For a name the pod sees nothing by: whether to deny it, because somebody else has it, or to ask outside. */
function hides(name: string, pod: PodEntry, names: Names): boolean {
  return names.knowsIn(pod.stack, name) || names.isFullName(name) || (!name.includes('.') && names.knows(name));
}

function endpointRecords(service: ServiceEntry, turn: number): readonly DnsRecord[] {
  const ips = service.endpoints.map(({ ip }) => ip);
  const first = ips.length === 0 ? 0 : turn % ips.length;
  return addressRecords([...ips.slice(first), ...ips.slice(0, first)], ttl.rotated);
}

function addressRecords(ips: readonly string[], seconds: number): readonly DnsRecord[] {
  return ips.flatMap((ip): DnsRecord[] => {
    const address = parseIp4(ip);
    return address === undefined ? [] : [{ type: 'a', address: ip4Bytes(address), ttl: seconds }];
  });
}

function sharesNetwork(a: PodEntry, b: PodEntry): boolean {
  return a.networks.some((network) => b.networks.includes(network));
}

function answerReverse(address: number, type: number, pod: PodEntry, names: Names, outside: Answer): Answer {
  const ip = formatIp4(address);
  const other = names.podAt(ip);
  const service = names.serviceAt(ip);
  let name: string | undefined;
  if (other && (other.id === pod.id || sharesNetwork(other, pod))) name = `${other.service}.${other.slot}`;
  else if (service?.networks.some(({ network, vip }) => vip === ip && pod.networks.includes(network))) name = `${service.name}.${service.stack}`;
  if (name === undefined) return other || service || names.isPodAddress(address) ? nothing(rcode.nameError) : outside;
  return { kind: 'answer', rcode: rcode.noError, records: type === dnsType.ptr || type === dnsType.any ? [{ type: 'ptr', name, ttl: ttl.pod }] : [] };
}

/** The address that `4.3.2.1.in-addr.arpa` asks about. */
function reverseAddress(name: string): number | undefined {
  const suffix = '.in-addr.arpa';
  return name.endsWith(suffix) ? parseIp4(name.slice(0, -suffix.length).split('.').reverse().join('.')) : undefined;
}
