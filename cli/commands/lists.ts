/** The tables: which columns people see for each kind of thing. */
import type { EventItem, FileObjectListItem, ImageListItem, NodeListItem, PodListItem, ServiceListItem, StackListItem, VolumeListItem } from '../../model/api.ts';
import { readableName } from '../../lib/oci/reference.ts';
import { stateStyle } from '../output/color.ts';
import type { Column } from '../output/table.ts';
import { formatAge, formatBytes, formatCpus, formatLabels, formatPorts } from '../output/values.ts';

export const stackColumns: readonly Column<StackListItem>[] = [
  { head: 'NAME', cell: (stack) => stack.name },
  { head: 'SERVICES', cell: (stack) => String(stack.services), align: 'right' },
  { head: 'READY', cell: (stack) => `${stack.ready}/${stack.desired}`, style: (stack) => (stack.ready >= stack.desired ? 'green' : 'yellow'), align: 'right' },
];

export const serviceColumns: readonly Column<ServiceListItem>[] = [
  { head: 'NAME', cell: (service) => service.id },
  { head: 'MODE', cell: (service) => service.mode },
  { head: 'READY', cell: (service) => `${service.ready}/${service.desired}`, style: (service) => (service.ready >= service.desired ? 'green' : 'yellow'), align: 'right' },
  { head: 'IMAGE', cell: (service) => service.image },
  { head: 'PORTS', cell: (service) => formatPorts(service.ports) },
  {
    head: 'UPDATE',
    cell: ({ update }) => (update.state === 'none' ? '' : update.message ? `${update.state}: ${update.message}` : update.state),
    style: (service) => stateStyle(service.update.state),
  },
];

export function podColumns(now: number): readonly Column<PodListItem>[] {
  return [
    { head: 'NAME', cell: (pod) => pod.name },
    { head: 'NODE', cell: (pod) => pod.node ?? '-' },
    { head: 'STATE', cell: (pod) => pod.state, style: (pod) => stateStyle(pod.state) },
    { head: 'READY', cell: (pod) => (pod.containers ? `${pod.containers.ready}/${pod.containers.total}` : pod.ready ? 'yes' : 'no'), style: (pod) => (pod.ready ? 'green' : undefined) },
    { head: 'IP', cell: (pod) => pod.ip ?? '-' },
    { head: 'IMAGE', cell: (pod) => pod.image },
    { head: 'RESTARTS', cell: (pod) => String(pod.restarts), align: 'right' },
    { head: 'AGE', cell: (pod) => formatAge(now - pod.since), align: 'right' },
    { head: 'MESSAGE', cell: (pod) => [pod.message, ...(pod.origin === undefined ? [] : [`from ${pod.origin}`])].filter(Boolean).join('; ') },
  ];
}

export const nodeColumns: readonly Column<NodeListItem>[] = [
  { head: 'NAME', cell: (node) => node.name },
  { head: 'STATE', cell: (node) => (node.pressure?.includes('disk') ? `${node.state}, disk full` : node.state), style: (node) => (node.pressure ? 'yellow' : stateStyle(node.state)) },
  { head: 'AVAILABILITY', cell: (node) => node.availability, style: (node) => stateStyle(node.availability) },
  { head: 'ADDRESS', cell: (node) => node.address },
  { head: 'PODS', cell: (node) => String(node.pods), align: 'right' },
  { head: 'CPUS', cell: (node) => `${formatCpus(node.allocated.cpus)}/${formatCpus(node.capacity.cpus)}`, align: 'right' },
  { head: 'MEMORY', cell: (node) => `${formatBytes(node.allocated.memory)}/${formatBytes(node.capacity.memory)}`, align: 'right' },
  { head: 'LABELS', cell: (node) => formatLabels(node.labels) },
];

export const volumeColumns: readonly Column<VolumeListItem>[] = [
  { head: 'NAME', cell: (volume) => volume.name },
  { head: 'STACK', cell: (volume) => volume.stack ?? '-' },
  { head: 'DRIVER', cell: (volume) => volume.driver },
  { head: 'NODE', cell: (volume) => volume.node ?? (volume.nodes.length > 0 ? volume.nodes.join(',') : '-') },
  { head: 'STATE', cell: (volume) => volume.state },
  { head: 'USED BY', cell: (volume) => volume.usedBy.join(',') },
];

export const fileObjectColumns: readonly Column<FileObjectListItem>[] = [
  { head: 'NAME', cell: (object) => object.name },
  { head: 'DIGEST', cell: (object) => object.digest.replace(/^(sha256:.{12}).*/, '$1') },
  { head: 'SIZE', cell: (object) => formatBytes(object.size), align: 'right' },
  { head: 'USED BY', cell: (object) => object.usedBy.join(',') },
];

/** An image, and every node that has it. */
export interface ImageRow {
  readonly names: readonly string[];
  readonly digest: string;
  readonly size: number;
  readonly nodes: readonly string[];
}

/** One row per image, however many nodes have it and under however many names. A name by digest is only shown where there is no other. */
export function groupImages(items: readonly ImageListItem[]): readonly ImageRow[] {
  const rows = new Map<string, { names: Set<string>; digest: string; size: number; nodes: Set<string> }>();
  for (const { references, digest, size, node } of items) {
    const row = rows.get(digest) ?? { names: new Set(), digest, size, nodes: new Set() };
    rows.set(digest, row);
    row.nodes.add(node);
    for (const reference of references) row.names.add(readableName(reference));
  }
  return Array.from(rows.values(), ({ names, nodes, ...row }) => {
    const tags = [...names].filter((name) => !name.includes('@') && !name.startsWith('sha256:'));
    return { ...row, names: (tags.length > 0 ? tags : [...names]).toSorted(), nodes: [...nodes].toSorted(byNumber) };
  }).toSorted((a, b) => byNumber(a.names[0] ?? '', b.names[0] ?? ''));
}

/** `node-2` before `node-10`. */
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

export const imageColumns: readonly Column<ImageRow>[] = [
  { head: 'IMAGE', cell: (image) => image.names.join(', ') || '<none>' },
  { head: 'DIGEST', cell: (image) => image.digest.replace(/^(sha256:.{12}).*/, '$1') },
  { head: 'SIZE', cell: (image) => formatBytes(image.size), align: 'right' },
  { head: 'NODES', cell: (image) => image.nodes.join(', ') },
];

export const eventColumns: readonly Column<EventItem>[] = [
  { head: 'TIME', cell: (event) => new Date(event.at).toISOString() },
  { head: 'SUBJECT', cell: (event) => event.subject },
  { head: 'MESSAGE', cell: (event) => event.message },
];
