/** The syntax tree of Go's templates, as far as Swarm's use of them goes: no `define`, `template` and `block`. */

export type Literal = string | number | boolean | null;

export type Operand =
  | { readonly kind: 'literal'; readonly value: Literal }
  /** `.` and what is asked of it. */
  | { readonly kind: 'dot'; readonly fields: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string; readonly fields: readonly string[] }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline; readonly fields: readonly string[] };

export type Positioned<T> = T & { readonly offset: number };

export type Command = readonly Positioned<Operand>[];

export interface Pipeline {
  readonly offset: number;
  /** `$x :=` and `$k, $v :=` of a range; `assign`: `$x =`. */
  readonly variables: readonly string[];
  readonly assign: boolean;
  readonly commands: readonly Command[];
}

export type Step =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly pipeline: Pipeline }
  | { readonly kind: 'if' | 'with' | 'range'; readonly pipeline: Pipeline; readonly body: readonly Step[]; readonly otherwise: readonly Step[] }
  | { readonly kind: 'break' | 'continue' };

/** A template that is wrong, at a character of its text. */
export class TemplateError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}
