/**
 * Classic Swarm's expressions, from where it took them: entries of the environment, and labels that hold a JSON list. Other places
 * of the file have keys of their own.
 */
import type { Reader } from '../reader.ts';

export const classicKinds = ['constraint', 'affinity', 'dependency', 'whitelist', 'reschedule'] as const;
export type ClassicKind = (typeof classicKinds)[number];

export interface ClassicExpression {
  readonly kind: ClassicKind;
  /** Without `constraint:` before it. */
  readonly text: string;
  readonly at: Reader;
  /** How far into the scalar at `at` the text begins. */
  readonly inset: number;
}

const entry = /^(constraint|affinity|dependency|whitelist|reschedule):/;

/** Environment entries that classic Swarm takes for itself never reach the container. */
export function isClassicKey(key: string): boolean {
  return entry.test(key);
}

export function classicExpressions(service: Reader): readonly ClassicExpression[] {
  const fromEnvironment = service.at('environment').children().flatMap(([key, item]) => fromVariable(key, item) ?? []);
  return [...fromEnvironment, ...[service, service.at('deploy')].flatMap((holder) => fromLabels(holder.at('labels')))];
}

/**
 * `constraint:type==frontend` reached us split at its first `=`: as `constraint:type` and `=frontend`, or, with `!=`, as
 * `constraint:type!` and `frontend`. Written as a mapping, `constraint:type: frontend` has no operator and is refused.
 */
function fromVariable(key: string, item: Reader): ClassicExpression | null {
  const kind = entry.exec(key)?.[1] as ClassicKind | undefined;
  if (kind === undefined) return null;
  const value = item.node?.kind === 'scalar' && item.node.value !== null ? item.node.text : null;
  const text = key.slice(kind.length + 1);
  // The list form stands in the file as it is here; in a mapping the key is somewhere before.
  const inset = item.node?.source.text.startsWith(`${key}=`, item.node.offset - key.length - 1) === true ? kind.length - key.length : value === null ? 0 : -(text.length + 1);
  return { kind, text: value === null ? text : `${text}=${value}`, at: item, inset };
}

const labels: readonly (readonly [ClassicKind, string])[] = [
  ['constraint', 'constraints'], ['affinity', 'affinities'], ['dependency', 'dependencies'], ['whitelist', 'whitelists'],
  ['reschedule', 'reschedule-policies'], ['reschedule', 'reschedule-policy'],
];

function fromLabels(holder: Reader): readonly ClassicExpression[] {
  return labels.flatMap(([kind, name]) => {
    const key = `com.docker.swarm.${name}`;
    const label = holder.at(key);
    if (label.node?.kind !== 'scalar') return [];
    const { text } = label.node;
    const list = jsonStrings(text);
    if (list === null) label.error(`${key} must be a JSON list of strings, such as ["type==frontend"]`);
    return (list ?? []).map((item) => ({ kind, text: item, at: label, inset: Math.max(0, text.indexOf(item)) }));
  });
}

function jsonStrings(text: string): readonly string[] | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}
