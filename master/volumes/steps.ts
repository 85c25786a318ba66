/**
 * What is to be done about volumes that are removed, moved, or left over somewhere: pure, level-triggered. Commits change records, jobs ask
 * nodes; a job that has ended well changes the record, and the next look finds the next step.
 */
import type { Volume } from '../../model/service.ts';
import type { Op } from '../store/port.ts';
import type { Maps } from '../world.ts';
import { podsWith, usersOf } from './users.ts';

export interface VolumeFacts {
  /** The node's session is here. */
  readonly connected: (node: string) => boolean;
  readonly down: (node: string) => boolean;
  /** Nothing that was decided before this revision is still on its way to the store. */
  readonly settled: number;
  readonly scope: (driver: string) => 'local' | 'global';
  /** Why a move is to be given up; undefined while it may go on. */
  readonly failed: (move: string) => string | undefined;
}

export type VolumeJob =
  /** `forget`: what a plugin has of it is another node's to remove. */
  | { readonly kind: 'remove'; readonly volume: string; readonly driver: string; readonly node: string; readonly forget: boolean }
  | { readonly kind: 'discard'; readonly volume: string; readonly node: string; readonly move: string }
  | { readonly kind: 'copy'; readonly volume: string; readonly from: string; readonly to: string; readonly move: string };

export interface VolumeSteps {
  /** Each list is one transaction, and an event about it. */
  readonly commits: readonly { readonly ops: readonly Op[]; readonly volumes: readonly string[]; readonly event: string }[];
  readonly jobs: readonly VolumeJob[];
  /** What is waited for, by volume. */
  readonly waits: ReadonlyMap<string, string>;
}

export function volumeSteps(maps: Maps, facts: VolumeFacts): VolumeSteps {
  const steps = new Steps(maps, facts);
  const moves = new Map<string, Volume[]>();
  for (const { value: volume } of maps.volumes.values()) {
    if (volume.removing) steps.remove(volume);
    else if (volume.move) moves.set(volume.move.id, [...(moves.get(volume.move.id) ?? []), volume]);
    for (const copy of volume.removing ? [] : (volume.stale ?? [])) steps.clear(volume, copy);
  }
  for (const [id, volumes] of moves) steps.move(id, volumes);
  return steps;
}

class Steps implements VolumeSteps {
  readonly commits: { readonly ops: readonly Op[]; readonly volumes: readonly string[]; readonly event: string }[] = [];
  readonly jobs: VolumeJob[] = [];
  readonly waits = new Map<string, string>();
  readonly #maps: Maps;
  readonly #facts: VolumeFacts;

  constructor(maps: Maps, facts: VolumeFacts) {
    this.#maps = maps;
    this.#facts = facts;
  }

  /** Data first, node by node, then the record. */
  remove(volume: Volume): void {
    const { name, driver } = volume;
    if (this.#facts.settled < this.#revision(name)) return;
    const users = usersOf(this.#maps, name);
    if (users.length > 0) return this.#commit([without(volume, 'removing')], `not removed: it is used by ${users.join(', ')}`);
    const nodes = placesOf(volume).filter((node) => this.#maps.nodes.has(node) && !(volume.removing === 'forced' && !this.#facts.connected(node)));
    if (nodes.length === 0) {
      this.commits.push({ ops: [{ op: 'delete', kind: 'volumes', id: name, guard: this.#revision(name) }], volumes: [name], event: 'removed' });
      return;
    }
    const away = nodes.filter((node) => !this.#facts.connected(node));
    if (away.length > 0) this.waits.set(name, `${this.#nodeName(away[0] ?? '')} has its data and is not connected`);
    // A plugin whose volumes are the same everywhere removes it once, at the last of its nodes.
    const shared = driver !== 'local' && this.#facts.scope(driver) === 'global';
    const now = shared && nodes.length > 1 ? nodes.slice(0, -1) : nodes;
    for (const node of now.filter((each) => this.#facts.connected(each))) this.jobs.push({ kind: 'remove', volume: name, driver, node, forget: now !== nodes });
  }

  clear({ name, node: home, move, driver, stale = [] }: Volume, copy: NonNullable<Volume['stale']>[number]): void {
    const gone = !this.#maps.nodes.has(copy.node);
    const volume = this.#maps.volumes.get(name)?.value;
    if (gone && volume) return this.#commit([{ ...volume, stale: stale.filter((each) => each !== copy) }], `its old copy left the cluster with node ${copy.node}`);
    // A move is under way to where the data is to stay: what is left of an earlier one must go first, but never the data itself.
    if (copy.move === undefined && (copy.node === home || move?.phase === 'copied')) return;
    if (!this.#facts.connected(copy.node)) return;
    this.jobs.push(copy.move === undefined ? { kind: 'remove', volume: name, driver, node: copy.node, forget: false } : { kind: 'discard', volume: name, node: copy.node, move: copy.move });
  }

  /** All volumes of one move: they arrive together, or everything is as before. */
  move(id: string, volumes: readonly Volume[]): void {
    const failed = this.#facts.failed(id) ?? this.#hopeless(volumes);
    const event = (text: string) => text;
    if (failed !== undefined) return this.#commit(volumes.map(takenBack), event(`the move failed, everything is as before: ${failed}`));
    if (volumes.every((volume) => volume.move?.phase === 'copied')) {
      const [to = ''] = volumes.map((volume) => volume.move?.to);
      return this.#commit(volumes.map(arrived), event(`is on ${this.#nodeName(to)} now`));
    }
    for (const volume of volumes) this.#moveOne(volume, volumes);
  }

  #moveOne(volume: Volume, volumes: readonly Volume[]): void {
    const { name, move, stale = [] } = volume;
    if (!move) return;
    const away = [move.from, move.to].find((node) => !this.#facts.connected(node));
    if (away !== undefined) this.waits.set(name, `waiting for ${this.#nodeName(away)} to be connected`);
    switch (move.phase) {
      case 'stopping': {
        const pods = volumes.flatMap((each) => podsWith(this.#maps, each.name)).filter((pod) => pod.node !== null);
        const left = stale.find((copy) => copy.node === move.to);
        if (pods.length > 0) this.waits.set(name, `waiting for ${pods.map((pod) => `${pod.service}.${pod.slot}`).join(', ')} to end`);
        else if (left) this.waits.set(name, `waiting for an older copy on ${this.#nodeName(move.to)} to be removed`);
        else if (away === undefined && volumes.every((each) => this.#facts.settled >= this.#revision(each.name))) this.#commit([{ ...volume, move: { ...move, phase: 'copying' } }], 'its pods have ended, it is being copied');
        return;
      }
      case 'copying':
        // Those that move along must have been let go of too: they may be one database.
        if (away === undefined && volumes.every((each) => each.move?.phase !== 'stopping')) this.jobs.push({ kind: 'copy', volume: name, from: move.from, to: move.to, move: move.id });
        return;
      case 'copied':
    }
  }

  /** Waiting will not help. */
  #hopeless(volumes: readonly Volume[]): string | undefined {
    for (const { move } of volumes) {
      for (const node of move ? [move.from, move.to] : []) {
        if (!this.#maps.nodes.has(node)) return `node ${node} has left the cluster`;
        if (this.#facts.down(node)) return `${this.#nodeName(node)} is down`;
      }
    }
    return undefined;
  }

  #commit(volumes: readonly Volume[], event: string): void {
    this.commits.push({ ops: volumes.map((value): Op => ({ op: 'put', kind: 'volumes', id: value.name, value, guard: this.#revision(value.name) })), volumes: volumes.map(({ name }) => name), event });
  }

  #revision(name: string): number {
    return this.#maps.volumes.get(name)?.revision ?? 0;
  }

  #nodeName(id: string): string {
    return this.#maps.nodes.get(id)?.value.name ?? id;
  }
}

/** Every node that has something of it. */
export function placesOf({ node, nodes = [], stale = [] }: Volume): readonly string[] {
  return [...new Set([...(node === null ? [] : [node]), ...nodes, ...stale.map((copy) => copy.node)])].sort();
}

/** Nothing of it is on that node any more. */
export function cleared(volume: Volume, node: string, move: string | undefined): Volume {
  const stale = (volume.stale ?? []).filter((copy) => copy.node !== node || copy.move !== move);
  const base: Volume = { ...without(volume, 'stale'), ...(stale.length > 0 ? { stale } : {}) };
  if (!volume.removing || move !== undefined) return base;
  const nodes = (volume.nodes ?? []).filter((each) => each !== node);
  return { ...base, node: volume.node === node ? null : volume.node, nodes, stale: stale.filter((copy) => copy.node !== node) };
}

export function takenBack(volume: Volume): Volume {
  const { move } = volume;
  if (!move) return volume;
  return { ...without(volume, 'move'), stale: [...(volume.stale ?? []), { node: move.to, move: move.id }] };
}

function arrived(volume: Volume): Volume {
  const { move } = volume;
  if (!move) return volume;
  return { ...without(volume, 'move'), node: move.to, stale: [...(volume.stale ?? []), { node: move.from }] };
}

function without<K extends 'move' | 'removing' | 'stale'>(volume: Volume, key: K): Omit<Volume, K> {
  const { [key]: _gone, ...rest } = volume;
  return rest;
}
