/**
 * Resources that nodes count by any name: GPUs, licences, hamsters. A node has a number of a kind, or knows each by a name of its own;
 * pods ask for a number, and of named ones they are told which are theirs.
 */

/** By kind: how many, or their names. */
export type GenericCapacity = Readonly<Record<string, number | readonly string[]>>;

/** By kind: how many. */
export type GenericAmounts = Readonly<Record<string, number>>;

/** By kind: which. */
export type GenericNames = Readonly<Record<string, readonly string[]>>;

const kindPattern = /^[\w.-]{1,64}$/;
const namePattern = /^[\w.:/-]{1,128}$/;
const mostNames = 1000;

export function amountOf(capacity: GenericCapacity | undefined, kind: string): number {
  const value = capacity !== undefined && Object.hasOwn(capacity, kind) ? capacity[kind] : undefined;
  return value === undefined ? 0 : typeof value === 'number' ? value : value.length;
}

/** `gpu=2` counts, `gpu=UUID1,UUID2` names; several of one kind add up. A message when one of them makes no sense. */
export function parseGeneric(texts: readonly string[]): { readonly ok: GenericCapacity } | { readonly error: string } {
  const made = new Map<string, number | readonly string[]>();
  for (const text of texts) {
    const equals = text.indexOf('=');
    const [kind, value] = [text.slice(0, Math.max(0, equals)), text.slice(equals + 1)];
    if (!kindPattern.test(kind) || value === '') return { error: `${JSON.stringify(text)} is no resource; write KIND=NUMBER or KIND=NAME,NAME` };
    const known = made.get(kind);
    if (/^\d{1,9}$/.test(value)) {
      if (Array.isArray(known)) return { error: `${kind} has both a number and names` };
      made.set(kind, ((known as number | undefined) ?? 0) + Number(value));
      continue;
    }
    const names = value.split(',');
    const wrong = names.find((name) => !namePattern.test(name));
    if (wrong !== undefined) return { error: `${JSON.stringify(wrong)} cannot name a ${kind}` };
    if (typeof known === 'number') return { error: `${kind} has both a number and names` };
    const all = [...((known as readonly string[] | undefined) ?? []), ...names];
    if (new Set(all).size < all.length) return { error: `${kind} has a name twice: ${all.find((name, i) => all.indexOf(name) !== i)}` };
    if (all.length > mostNames) return { error: `${all.length} names of ${kind} are more than ${mostNames}, the limit` };
    made.set(kind, all);
  }
  return { ok: Object.fromEntries(made) };
}

/**
 * Names for a pod, of the kinds that have some: the first that nobody holds, in the node's order. Null when there are too few, which
 * happens only to who did not count first. Kinds without names give none.
 */
export function takeNames(capacity: GenericCapacity | undefined, wanted: GenericAmounts, held: Iterable<GenericNames>): GenericNames | null {
  const taken = new Map<string, Set<string>>();
  for (const names of held) {
    for (const [kind, own] of Object.entries(names)) {
      const set = taken.get(kind) ?? new Set<string>();
      for (const name of own) set.add(name);
      taken.set(kind, set);
    }
  }
  const given: Record<string, readonly string[]> = {};
  for (const [kind, count] of Object.entries(wanted)) {
    const value = capacity !== undefined && Object.hasOwn(capacity, kind) ? capacity[kind] : undefined;
    if (typeof value !== 'object' || count <= 0) continue;
    const free = value.filter((name) => taken.get(kind)?.has(name) !== true).slice(0, count);
    if (free.length < count) return null;
    given[kind] = free;
  }
  return given;
}

/** What containers see of it, as Docker tells it: `DOCKER_RESOURCE_GPU=UUID1,UUID2`, or the number. */
export function genericEnv(wanted: GenericAmounts | undefined, names: GenericNames | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(wanted ?? {}).map(([kind, count]) => [`DOCKER_RESOURCE_${kind.toUpperCase()}`, names?.[kind]?.join(',') ?? String(count)]));
}
