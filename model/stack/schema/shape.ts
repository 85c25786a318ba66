/** The words that the tables in this folder are written in. */
import type { Diagnostics } from '../diagnostics.ts';
import type { Path } from '../path.ts';
import type { MapNode, Node, ScalarNode, SeqNode } from '../parse/tree.ts';

/** What conforming needs besides the node. */
export interface ShapeContext {
  /** Where relative paths of this file start. */
  readonly baseDir: string;
  readonly home: string | undefined;
  readonly sink: Diagnostics;
}

/** Short syntax → the nodes it stands for, in long syntax; null when it is wrong and the sink knows why. */
export type Expand = (node: ScalarNode, path: Path | null, context: ShapeContext) => readonly Node[] | null;

/** How two lists become one when files are merged. */
export type ListMerge =
  | { readonly kind: 'append' }
  /** The later list stands alone: commands. */
  | { readonly kind: 'replace' }
  /** Entries with the same key: the later one wins, in the earlier one's place. */
  | { readonly kind: 'unique'; readonly key: (item: Node) => string };

export type Shape =
  /** Taken as it is; `as` says what it is in the canonical model, when something else sees to that. */
  | { readonly kind: 'any'; readonly as?: Shape }
  | { readonly kind: 'string'; readonly path?: boolean; readonly pattern?: RegExp; readonly say?: string }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  | { readonly kind: 'bool' }
  /** `words`: texts that stand for numbers. */
  | { readonly kind: 'int'; readonly min?: number; readonly max?: number; readonly words?: Readonly<Record<string, number>> }
  | { readonly kind: 'number'; readonly min?: number; readonly max?: number }
  | { readonly kind: 'duration' }
  /** A number of microseconds, or a duration. */
  | { readonly kind: 'micros' }
  /** `free`: -1 stands for no limit. */
  | { readonly kind: 'bytes'; readonly free?: boolean }
  /** Permission bits: `0440` and `"0440"` are octal, `288` is not. */
  | { readonly kind: 'mode' }
  /** `single`: one value may stand for a list of one. `entry`: short syntax of the items. `pairs`: a mapping is a list of KEY, this text, VALUE. */
  | { readonly kind: 'list'; readonly of: Shape; readonly single?: boolean; readonly entry?: Expand; readonly merge?: ListMerge; readonly pairs?: string }
  /** A command: a string is split into words, or, with `shell`, left to one. */
  | { readonly kind: 'words'; readonly shell?: boolean }
  /** Words that belong together; a string is split at its first two colons. */
  | { readonly kind: 'tuple' }
  /** `healthcheck.test`: a string is for the shell. */
  | { readonly kind: 'test' }
  /** A mapping, or a list of KEY=VALUE; `bare` says what KEY alone means. */
  | { readonly kind: 'pairs'; readonly bare: 'null' | 'empty' | 'error'; readonly separators?: string }
  /** `extra_hosts`: host → addresses. */
  | { readonly kind: 'hosts' }
  /** Names to things, with any names that fit `name`; a list of names when `listed` makes the thing. */
  | { readonly kind: 'map'; readonly of: Shape; readonly name?: RegExp; readonly most?: number; readonly listed?: (name: ScalarNode) => Node }
  | ObjectShape
  /** An object that a scalar may stand for, or a list. */
  | { readonly kind: 'short'; readonly of: ObjectShape; readonly expand: Expand; readonly list?: (node: SeqNode) => Node };

export interface ObjectShape {
  readonly kind: 'object';
  readonly keys: Readonly<Record<string, Field>>;
  readonly required?: readonly string[];
  /** Nothing at all is a proper value. */
  readonly nullable?: boolean;
  /** Two values merge only when they agree on this key (or one lacks it); else the later stands alone. */
  readonly unlessDiffers?: string;
  /** Keys of which there is only one: a later file's takes the place of an earlier one's. */
  readonly choice?: readonly string[];
  /** The last touch to the long syntax, when one key decides over another. */
  readonly finish?: (node: MapNode, context: ShapeContext) => MapNode;
}

export interface Field {
  readonly shape: Shape;
  readonly verdict: Verdict;
}

/**
 * `works`: honoured. `harmless`: without effect here, and why that changes nothing; `warn` says so to the user as well.
 * `refused`: an error, unless the value asks for nothing (false, empty) or is one of `except`.
 */
export type Verdict =
  | { readonly kind: 'works'; readonly note?: string }
  | { readonly kind: 'harmless'; readonly why: string; readonly warn?: boolean }
  | { readonly kind: 'refused'; readonly why: string; readonly instead: string; readonly except?: readonly string[] };

export const any: Shape = { kind: 'any' };
export const string: Shape = { kind: 'string' };
export const path: Shape = { kind: 'string', path: true };
export const bool: Shape = { kind: 'bool' };
export const duration: Shape = { kind: 'duration' };
export const bytes: Shape = { kind: 'bytes' };
export const count: Shape = { kind: 'int', min: 0 };
export const strings: Shape = { kind: 'list', of: string };
export const stringOrList: Shape = { kind: 'list', of: string, single: true };
export const labels: Shape = { kind: 'pairs', bare: 'empty' };
/** Options: values are strings, a null one is an empty one. */
export const options: Shape = { kind: 'pairs', bare: 'error' };

export function works(shape: Shape, note?: string): Field {
  return { shape, verdict: note === undefined ? { kind: 'works' } : { kind: 'works', note } };
}

export function harmless(shape: Shape, why: string, warn = false): Field {
  return { shape, verdict: { kind: 'harmless', why, warn } };
}

export function refused(shape: Shape, why: string, instead: string, except: readonly string[] = []): Field {
  return { shape, verdict: { kind: 'refused', why, instead, except } };
}

export function object(keys: Readonly<Record<string, Field>>, more: Omit<ObjectShape, 'kind' | 'keys'> = {}): ObjectShape {
  return { kind: 'object', keys, ...more };
}

export function list(of: Shape, more: { readonly single?: boolean; readonly entry?: Expand; readonly merge?: ListMerge; readonly pairs?: string } = {}): Shape {
  return { kind: 'list', of, ...more };
}
