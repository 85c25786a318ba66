/**
 * One language for the three dialects of placement expressions (classic Swarm `constraint:type==frontend`, Swarm mode
 * `node.labels.type == frontend`, bare `type==frontend`). `parse.ts` makes these values, `match.ts` evaluates them.
 */

/** What of a node the expression looks at. `label` covers bare keys and `node.labels.K`; `engine` is `engine.labels.K`. */
export type ConstraintSubject =
  | { readonly kind: 'label'; readonly key: string }
  | { readonly kind: 'engine'; readonly key: string }
  | { readonly kind: 'id' | 'hostname' | 'ip' | 'role' | 'os' | 'arch' }
  /** Classic `node==NAME`: a node's id or its name. */
  | { readonly kind: 'node' };

/** `literal` compares case-insensitively as Swarm mode does; `glob` knows only `*`; `regex` is unanchored RE2. */
export type ConstraintPattern =
  | { readonly kind: 'literal'; readonly value: string }
  | { readonly kind: 'glob'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

export interface Constraint {
  readonly subject: ConstraintSubject;
  readonly op: '==' | '!=';
  readonly pattern: ConstraintPattern;
  /** A soft expression (`~`) is a wish: it ranks nodes, it excludes none. */
  readonly soft: boolean;
  /** As the user wrote it, for messages. */
  readonly source: string;
}

/**
 * Relative to pods already on the node, classic Swarm's `affinity:`. `container` names services or pods (`stack_service`, `stack_service.1`,
 * or the short service name within the same stack), `image` a reference with or without tag, `label` a label of the service or container.
 */
export interface Affinity {
  readonly subject: { readonly kind: 'container' } | { readonly kind: 'image' } | { readonly kind: 'label'; readonly key: string };
  readonly op: '==' | '!=';
  readonly pattern: ConstraintPattern;
  readonly soft: boolean;
  readonly source: string;
}

/**
 * Marathon's operators over a field of the node (`subject`). UNIQUE: one pod of the service per value. CLUSTER: all on `value` (or, without
 * one, all on the value the first got). GROUP_BY: even over the values (`count` of them expected, 0: those there are). MAX_PER: at most
 * `count` per value. LIKE and UNLIKE: the value matches a regular expression.
 */
export interface PlacementOperator {
  readonly subject: ConstraintSubject;
  readonly operator: 'UNIQUE' | 'CLUSTER' | 'GROUP_BY' | 'MAX_PER' | 'LIKE' | 'UNLIKE';
  readonly value?: string;
  readonly count?: number;
  readonly source: string;
}

/** Spread over the values of a label; several nest in the order listed. A node without the label is a branch of its own. */
export interface SpreadPreference {
  readonly subject: ConstraintSubject;
  readonly source: string;
}

/** What a constraint can see of a node. */
export interface ConstraintTarget {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly role: string;
  readonly os: string;
  readonly arch: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly engineLabels: Readonly<Record<string, string>>;
}
