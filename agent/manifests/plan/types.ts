/** The values that a host's own manifests are decided on: stacks of files and URLs, and the pods that this host has of them. */
import type { Assignment, ManifestOrigin } from '../../../model/assignment.ts';
import type { ConstraintTarget } from '../../../model/constraint/types.ts';
import type { GenericCapacity } from '../../../model/generic.ts';
import type { PodStatus } from '../../../model/pod.ts';
import type { AllocatedPort } from '../../../model/service.ts';
import type { StackSpec } from '../../../model/spec.ts';

export interface ManifestHost {
  /** Part of pods' ids: it stays when the host joins a cluster, and so do its pods. */
  readonly hostId: string;
  readonly nodeId: string;
  readonly name: string;
  /** What placement constraints see of it. */
  readonly target: ConstraintTarget;
  /** Blocks of addresses that never leave this host: `10.31.0.0/17`. */
  readonly podCidr: string;
  readonly vipCidr: string;
  /** Counted resources that it has. */
  readonly generic?: GenericCapacity;
}

/** A stack of a manifest; its name is unique on the host once it is accepted. */
export interface ManifestStack extends ManifestOrigin {
  readonly spec: StackSpec;
}

/** What a source knows of one of its files, or of its URL. */
export type ManifestEntry =
  | { readonly origin: string; readonly specs: readonly StackSpec[]; readonly warnings: readonly string[] }
  /** It does not load: what was made of it before stays. */
  | { readonly origin: string; readonly problem: string };

/** All that a source holds now. */
export interface SourceContent {
  readonly source: string;
  /** null: it cannot be read, and everything of it stays. */
  readonly entries: readonly ManifestEntry[] | null;
  /** Why it cannot be read. */
  readonly problem?: string;
}

/** What was given to services, by their id, and is kept. */
export interface Given {
  readonly vips: Readonly<Record<string, readonly { readonly network: string; readonly ip: string }[]>>;
  readonly ports: Readonly<Record<string, readonly AllocatedPort[]>>;
  /** The address given to a pod last: it comes up again only after all others. */
  readonly lastIp?: string;
}

/** A pod of a manifest that the agent has. */
export interface LocalPod {
  readonly assignment: Assignment & { readonly manifest: ManifestOrigin };
  readonly status: PodStatus;
  /** It was told to go and leaves no trace. */
  readonly removed: boolean;
}
