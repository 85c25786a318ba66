/** What a service's spec needs to know of the rest of the stack. */
import type { Session } from '../assemble/context.ts';
import type { Mark } from '../parse/tree.ts';
import type { Path } from '../path.ts';
import type { Reader } from './reader.ts';
import type { PodPlan } from './pods/plan.ts';
import type { TemplateContext } from '../../template/swarm.ts';
import type { FileObjectSpec, NetworkSpec, VolumeSpec } from '../../spec.ts';

/** A network of the file; `hostMode` is Docker's predefined `host` or `none`, which is no network. */
export interface NamedNetwork {
  readonly spec: NetworkSpec;
  readonly hostMode: 'host' | 'none' | null;
}

export interface MadeVolume {
  readonly spec: VolumeSpec;
  /** Every slot of a service that mounts it has one of its own. */
  readonly perReplica: boolean;
}

export interface MadeFileObject {
  readonly spec: FileObjectSpec;
  /** With `template_driver`: what is filled in, and where it stands. */
  readonly template?: { readonly text: string; readonly at: (offset: number) => Mark; readonly path: Path | null };
}

export interface StackContext {
  readonly session: Session;
  readonly stack: string;
  readonly networks: ReadonlyMap<string, NamedNetwork>;
  readonly volumes: ReadonlyMap<string, MadeVolume>;
  readonly secrets: ReadonlyMap<string, MadeFileObject>;
  readonly configs: ReadonlyMap<string, MadeFileObject>;
  readonly services: ReadonlySet<string>;
  readonly pods: PodPlan;
  /** A service of the stack as it was written. */
  readonly tree: (service: string) => Reader | undefined;
  /** Services of profiles that are off. */
  readonly inactive: ReadonlyMap<string, readonly string[]>;
  /** Names that `links` of other services give to a service. */
  readonly linkAliases: ReadonlyMap<string, readonly string[]>;
  /** `container_name` → the service that has it. */
  readonly containerNames: ReadonlyMap<string, string>;
  /** Services that others wait for to be done. */
  readonly awaited: ReadonlySet<string>;
}

/** A directory that the containers of a pod share. */
export interface PodVolume {
  readonly medium?: 'memory';
  readonly size?: number;
}

/** The pod that a container is made for. */
export interface PodScope {
  /** Names of its containers, without those that run before them. */
  readonly containers: ReadonlySet<string>;
  readonly volumes: ReadonlyMap<string, PodVolume>;
  /** What Swarm's templates are tried with. */
  readonly sample: TemplateContext;
}
