/** Reservations against what the node has and has not yet given away. A pod that reserves nothing fits everywhere. */
import type { FilterReason } from '../../../model/api.ts';
import { countNodes } from '../../../model/constraint/explain.ts';
import { nanosPerCpu } from '../demand.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter } from './filter.ts';

export const resources: Filter = {
  scope: 'room',
  prepare({ demand }, room) {
    const { nanoCpus, memory } = demand;
    const generic = Object.entries(demand.generic ?? {});
    if (nanoCpus === 0 && memory === 0 && generic.length === 0) return null;
    const plain = (node: number) => nanoCpus <= freeCpu(room, node) && memory <= freeMemory(room, node);
    return generic.length === 0 ? plain : (node) => plain(node) && generic.every(([kind, wanted]) => wanted <= room.freeGeneric(kind, node));
  },
  explain({ demand }, room, nodes) {
    const reasons: FilterReason[] = [];
    const tell = (wanted: number, free: (room: Room, node: number) => number, format: (amount: number) => string) => {
      const short = nodes.filter((node) => wanted > free(room, node));
      if (short.length === 0) return;
      const best = short.reduce((a, b) => (free(room, b) > free(room, a) ? b : a));
      const claim = short.length === 1 ? `${room.name(best)} has ${format(Math.max(0, free(room, best)))} free` : `most free is ${format(Math.max(0, free(room, best)))} on ${room.name(best)}`;
      reasons.push({ filter: 'resources', message: `needs ${format(wanted)}, ${claim}`, nodes: namesOf(room, short) });
    };
    tell(demand.nanoCpus, freeCpu, formatCpus);
    tell(demand.memory, freeMemory, formatMemory);
    for (const [kind, wanted] of Object.entries(demand.generic ?? {})) {
      const short = nodes.filter((node) => wanted > room.freeGeneric(kind, node));
      if (short.length === 0) continue;
      const most = Math.max(0, ...short.map((node) => room.freeGeneric(kind, node)));
      const claim = short.every((node) => Math.max(0, room.freeGeneric(kind, node)) === most) ? `${most} free` : `at most ${most} free`;
      reasons.push({ filter: 'resources', message: `${countNodes(namesOf(room, short))} ${short.length === 1 ? 'has' : 'have'} too few ${kind}: ${wanted} wanted, ${claim}`, nodes: namesOf(room, short) });
    }
    return reasons;
  },
};

function freeCpu(room: Room, node: number): number {
  return room.state.cpuCapacity[node]! - room.cpuUsed[node]!;
}

function freeMemory(room: Room, node: number): number {
  return room.state.memoryCapacity[node]! - room.memoryUsed[node]!;
}

function formatCpus(nanos: number): string {
  const cpus = Math.floor(nanos / (nanosPerCpu / 1000)) / 1000;
  return `${cpus} ${cpus === 1 ? 'CPU' : 'CPUs'}`;
}

function formatMemory(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${Math.floor(amount * 10) / 10} ${units[unit] ?? ''} of memory`;
}
