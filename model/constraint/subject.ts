/** The left side of an expression: a key and what of a node it names. */
import type { ConstraintSubject } from './types.ts';

/** `error` says what is wrong with the key; `at` is where in the key, counted in characters. */
export type SubjectResult = { readonly ok: ConstraintSubject } | { readonly error: string; readonly at: number };

const fixed: Readonly<Record<string, ConstraintSubject>> = {
  'node.id': { kind: 'id' },
  'node.hostname': { kind: 'hostname' },
  'node.ip': { kind: 'ip' },
  'node.role': { kind: 'role' },
  'node.platform.os': { kind: 'os' },
  'node.platform.arch': { kind: 'arch' },
};

/** What people write and mean something else by. */
const habits: Readonly<Record<string, string>> = {
  'node.name': 'node.hostname',
  'node.host': 'node.hostname',
  'node.address': 'node.ip',
  'node.addr': 'node.ip',
  'node.platform': 'node.platform.os',
  'node.os': 'node.platform.os',
  'node.arch': 'node.platform.arch',
  'node.architecture': 'node.platform.arch',
  'node.platform.architecture': 'node.platform.arch',
};

/** Labels that classic Swarm gave every engine; a bare key of this name means the engine's. */
const engineBuiltIns: ReadonlySet<string> = new Set(['storagedriver', 'executiondriver', 'kernelversion', 'operatingsystem']);

/**
 * What a key names. `node.*` and `engine.labels.*` count in any case, the label names behind them only as written. `node` is
 * classic Swarm's id or name; every other key is a label of the node.
 */
export function parseSubject(key: string): SubjectResult {
  const lower = key.toLowerCase();
  const known = fixed[lower];
  if (known !== undefined && Object.hasOwn(fixed, lower)) return { ok: known };
  if (lower === 'node') return { ok: { kind: 'node' } };
  for (const [prefix, kind] of [['node.labels.', 'label'], ['engine.labels.', 'engine']] as const) {
    if (!lower.startsWith(prefix)) continue;
    const label = key.slice(prefix.length);
    return label === '' ? { error: `${key} lacks the label's name`, at: key.length } : { ok: { kind, key: label } };
  }
  if (lower.startsWith('node.') || lower.startsWith('engine.')) return { error: `there is no ${key}${didYouMean(key)}`, at: 0 };
  return { ok: engineBuiltIns.has(lower) ? { kind: 'engine', key: lower } : { kind: 'label', key } };
}

/** How the subject reads in messages: a label by its bare key, everything else as Swarm spells it. */
export function describeSubject(subject: ConstraintSubject): string {
  switch (subject.kind) {
    case 'label': return subject.key;
    case 'engine': return `engine.labels.${subject.key}`;
    case 'node': return 'node';
    case 'os': return 'node.platform.os';
    case 'arch': return 'node.platform.arch';
    case 'id':
    case 'hostname':
    case 'ip':
    case 'role': return `node.${subject.kind}`;
  }
}

function didYouMean(key: string): string {
  const lower = key.toLowerCase();
  const habit = Object.hasOwn(habits, lower) ? habits[lower] : undefined;
  if (habit !== undefined) return `; did you mean ${habit}?`;
  // `node.label.zone`, `engine.lables.zone`: the middle part is misspelt, the label's name is the user's own.
  const [first = '', middle = '', ...rest] = key.split('.');
  if (rest.length > 0 && distance(middle.toLowerCase(), 'labels') <= 2) return `; did you mean ${first.toLowerCase()}.labels.${rest.join('.')}?`;
  if (first.toLowerCase() === 'engine') return `; did you mean engine.labels.${key.slice('engine.'.length)}?`;
  const near = Object.keys(fixed).map((name) => ({ name, away: distance(lower, name) })).sort((a, b) => a.away - b.away)[0];
  // A short word is near to everything: `zone` is two letters from `role`.
  if (near !== undefined && near.away <= (near.name.length > 10 ? 2 : 1)) return `; did you mean ${near.name}?`;
  return `; a label of the node is node.labels.${key.slice('node.'.length)}, and there are ${Object.keys(fixed).join(', ')}`;
}

/** Levenshtein's, on short words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
