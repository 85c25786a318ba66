/**
 * The words that the tables in this folder are written in: a row says which keys of the Compose language it proves, what a file
 * says, and what is then found. Rows of one theme are one stack, so that all of them start together.
 */
import type { Seen } from './seen.ts';

/** What a script prints: to the letter, by a pattern, or by several that must all fit. */
export type Expected = string | RegExp | readonly RegExp[];

export interface Row {
  /** As in the table of keys: `services.cap_add`; lists and names in between are left out. */
  readonly keys: readonly [string, ...string[]];
  /** What the row is about when a key has several. */
  readonly form?: string;
  /** The service's name, when others speak of it. */
  readonly name?: string;
  /** The body of the service, as people write it. Image, command and a short grace are filled in where it says none; absent: no service of its own. */
  readonly service?: string;
  /** Further services, with their names. */
  readonly others?: string;
  /** Shell, run as the container's command. It may use the words of `words`. */
  readonly says?: string;
  readonly see: Expected | ((seen: Seen) => Promise<void>);
}

export interface Theme {
  /** The stack's name. */
  readonly name: string;
  /** What a file has at its top level besides services. */
  readonly top?: string;
  /** Beside the stack file, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Of `tsorch apply`. */
  readonly flags?: readonly string[];
  /** Beside MACHINE, the machine's address on the hosts' wires. */
  readonly env?: Readonly<Record<string, string>>;
  /** What others refer to: applied before them. */
  readonly first?: true;
  /** Not all of it becomes ready, which is what its rows are about: the apply does not wait. */
  readonly stuck?: true;
  readonly rows: readonly Row[];
}

/** Pods that do not stay ready by themselves are waited for by the rows, not by the apply. */
export const stays = 100_000;

/**
 * What scripts may use. `cg CONTROLLER FILE FILE2`: a file of the container's own cgroup, under its name in version 1 or 2 of the
 * hierarchy. `st FIELD`: a field of the first process's status.
 */
export const words = [
  'cg() { if [ -e /sys/fs/cgroup/$1/$2 ]; then cat /sys/fs/cgroup/$1/$2; else cat /sys/fs/cgroup/$3; fi; }',
  "st() { grep \"^$1:\" /proc/1/status | tr -s '\\t ' ' ' | sed 's/^[^:]*: *//'; }",
  "for a in tr sed sort awk nslookup wget httpd cut find ln cp timeout sysctl xargs readlink ping rmdir printf date; do alias $a=\"busybox $a\"; done",
].join('\n');

/** The end of what a script printed: everything before it is there. */
export const endMark = '== the end';
