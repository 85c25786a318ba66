/** An unknown key: a slip, a key of another place, or the format of the early days. */
import type { Diagnostics } from '../diagnostics.ts';
import type { Entry } from '../parse/tree.ts';
import { nameOf, step, type Path } from '../path.ts';
import { deploy } from '../schema/deploy.ts';
import { serviceKeys } from '../schema/service.ts';
import type { ObjectShape, Shape } from '../schema/shape.ts';
import { topKeys } from '../schema/top.ts';
import { didYouMean, nearest } from '../suggest.ts';

export function unknownKey(key: string, entry: Entry, shape: ObjectShape, path: Path | null, sink: Diagnostics): void {
  const below = step(path, key);
  sink.error(entry.key, below, `unknown key ${nameOf(below)}`, sink.full ? undefined : hint(key, entry, shape));
}

/** `x-` keys are the user's own, but one that is nearly ours is more likely a slip. */
export function misspelt(key: string, entry: Entry, shape: ObjectShape, path: Path | null, sink: Diagnostics): void {
  const here = ownKeysOf(shape);
  const place = places.get(key);
  if (place !== undefined) {
    sink.warn(entry.key, step(path, key), `${key} has no effect here`, place);
    return;
  }
  const near = here.length === 0 ? undefined : nearest(key, here);
  if (near !== undefined) sink.warn(entry.key, step(path, key), `${key} has no effect`, `did you mean ${near}?`);
}

/** What tsorch adds to the language → where it belongs. */
const places: ReadonlyMap<string, string> = new Map([
  ...Object.keys(serviceKeys).filter((key) => key.startsWith('x-')).map((key) => [key, 'it belongs to a service, beside image'] as const),
  ['x-per-replica', 'it belongs to a volume of the top level, or to a mount in long syntax'],
]);

function ownKeysOf(shape: ObjectShape): readonly string[] {
  let keys = known.get(shape);
  if (!keys) known.set(shape, (keys = Object.keys(shape.keys).filter((key) => key.startsWith('x-'))));
  return keys;
}

const known = new WeakMap<ObjectShape, readonly string[]>();

function hint(key: string, entry: Entry, shape: ObjectShape): string {
  if (shape.keys === topKeys) {
    const near = didYouMean(key, Object.keys(topKeys));
    if (near !== undefined) return near;
    if (Object.hasOwn(serviceKeys, key)) return `${key} belongs to a service, under services`;
    const value = entry.value;
    if (value.kind === 'map' && (value.entries.has('image') || value.entries.has('build'))) return `put the service ${key} under services:`;
    return 'keys of your own begin with x-';
  }
  const home = homes.get(key);
  if (home !== undefined) return `it belongs under ${home}`;
  if (shape.keys === serviceKeys && Object.hasOwn(topKeys, key)) return `${key} belongs at the top level`;
  const near = nearest(key, Object.keys(shape.keys));
  if (near !== undefined) return `did you mean ${near}?`;
  return Object.keys(shape.keys).length <= 12 ? `the keys here are ${Object.keys(shape.keys).join(', ')}` : 'keys of your own begin with x-';
}

/** Keys of deploy that stand at one place only → that place. */
const homes = collect();

function collect(): ReadonlyMap<string, string> {
  const places = new Map<string, string[]>();
  const walk = (shape: Shape, at: string): void => {
    if (shape.kind === 'list') return walk(shape.of, at);
    if (shape.kind !== 'object') return undefined;
    for (const [key, field] of Object.entries(shape.keys)) {
      places.set(key, [...(places.get(key) ?? []), at]);
      walk(field.shape, `${at}.${key}`);
    }
    return undefined;
  };
  walk(deploy, 'deploy');
  const single = [...places].filter(([key, found]) => found.length === 1 && !Object.hasOwn(serviceKeys, key));
  return new Map(single.map(([key, found]) => [key, found[0] ?? 'deploy']));
}
