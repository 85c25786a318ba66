/** The Container Device Interface (CDI 1.0): vendors say in files on the host what a container needs to have their device. */
import type { OciHook, OciHookName } from '../spec/oci.ts';

/** One file. */
export interface CdiSpec {
  /** `vendor.com/class` */
  readonly kind: string;
  readonly devices: readonly { readonly name: string; readonly edits: CdiEdits }[];
  /** Of every device of the file. */
  readonly edits: CdiEdits;
}

export interface CdiEdits {
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly deviceNodes: readonly CdiDeviceNode[];
  readonly mounts: readonly { readonly hostPath: string; readonly containerPath: string; readonly options: readonly string[]; readonly type?: string }[];
  readonly hooks: readonly { readonly name: OciHookName; readonly hook: OciHook }[];
  readonly additionalGids: readonly number[];
}

/** What it does not say is as the host's node has it. */
export interface CdiDeviceNode {
  readonly path: string;
  readonly hostPath: string;
  readonly type?: 'b' | 'c';
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** Of `rwm`. */
  readonly permissions: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** A file as it was found: understood, or why not. */
export type CdiFile = { readonly path: string; readonly spec: CdiSpec } | { readonly path: string; readonly problem: string };

export const noEdits: CdiEdits = { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] };
