/** Evaluation: a constraint and a node → yes or no. Regexes run on RE2, so no expression of a user's can stall the master. */
import { RE2JS } from 're2js';
import { contains, parseBlock } from './address.ts';
import type { Constraint, ConstraintSubject, ConstraintTarget } from './types.ts';

export type Predicate = (target: ConstraintTarget) => boolean;

/** The values the subject has on a node; several count as alternatives. A missing label is the empty string. */
export function valuesOf(subject: ConstraintSubject, target: ConstraintTarget): readonly string[] {
  switch (subject.kind) {
    case 'label': return [own(target.labels, subject.key)];
    case 'engine': return [own(target.engineLabels, subject.key)];
    case 'id': return [target.id];
    case 'hostname': return [target.name];
    case 'ip': return [target.address];
    case 'role': return [target.role];
    case 'os': return [target.os];
    case 'arch': return architectures(target.arch);
    case 'node': return [target.id, target.name];
  }
}

/** `==` holds when any value matches, `!=` when none does. `soft` does not matter here: callers rank by it. */
export function compile(constraint: Constraint): Predicate {
  const matches = compilePattern(constraint);
  const wanted = constraint.op === '==';
  const { subject } = constraint;
  return (target) => valuesOf(subject, target).some(matches) === wanted;
}

/** All of the hard expressions at once. */
export function compileHard(constraints: readonly Constraint[]): Predicate {
  const predicates = constraints.filter((constraint) => !constraint.soft).map(compile);
  return (target) => predicates.every((predicate) => predicate(target));
}

export function matches(constraint: Constraint, target: ConstraintTarget): boolean {
  return compile(constraint)(target);
}

/** The pattern alone, on one value. */
export function compilePattern(constraint: Pick<Constraint, 'subject' | 'pattern'>): (value: string) => boolean {
  const { pattern, subject } = constraint;
  switch (pattern.kind) {
    case 'literal': {
      const block = subject.kind === 'ip' ? parseBlock(pattern.value) : null;
      if (block !== null) {
        return (value) => {
          const address = parseBlock(value);
          return address !== null && contains(block, address);
        };
      }
      const wanted = pattern.value.toLowerCase();
      return (value) => value.toLowerCase() === wanted;
    }
    case 'glob': return compileGlob(pattern.value);
    case 'regex': {
      const regex = compileRegex(pattern.value);
      return (value) => regex !== null && regex.test(value);
    }
  }
}

/** Greedy between the stars: linear in the value for each piece, and no regex is involved. */
export function compileGlob(glob: string): (value: string) => boolean {
  const [first = '', ...others] = glob.toLowerCase().split('*');
  if (others.length === 0) return (value) => value.toLowerCase() === first;
  const last = others.at(-1) ?? '';
  const middle = others.slice(0, -1);
  return (original) => {
    const value = original.toLowerCase();
    if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    let at = first.length;
    for (const piece of middle) {
      const found = value.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return at <= value.length - last.length;
  };
}

/** Specs come over the API too, where no parser has seen them: a bad regex matches nothing. */
function compileRegex(source: string): RE2JS | null {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  let made: RE2JS | null;
  try {
    made = RE2JS.compile(source);
  } catch {
    made = null;
  }
  const oldest = compiled.size >= maxCompiled ? compiled.keys().next().value : undefined;
  if (oldest !== undefined) compiled.delete(oldest);
  compiled.set(source, made);
  return made;
}

/** Pods are checked against their constraints again and again: the same few regexes. */
const compiled = new Map<string, RE2JS | null>();
const maxCompiled = 256;

function own(labels: Readonly<Record<string, string>>, key: string): string {
  return Object.hasOwn(labels, key) ? (labels[key] ?? '') : '';
}

/** Kernels and image registries name the same machines differently; Swarm files use either. */
const aliases: readonly (readonly string[])[] = [['x86_64', 'amd64'], ['aarch64', 'arm64'], ['i686', 'i386', '386']];

function architectures(arch: string): readonly string[] {
  const lower = arch.toLowerCase();
  return aliases.find((names) => names.includes(lower)) ?? [arch];
}
