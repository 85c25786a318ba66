/** What a master hands an agent: pods to run, whole. The agent keeps the last on disk and carries on from it alone. */
import type { Pod } from './pod.ts';
import type { RegistryAuth } from './registry.ts';
import type { FileReference, PodTemplate } from './spec.ts';

export interface Assignment {
  readonly pod: Pod;
  /** The host's own manifest that the pod is from. Absent: a master's word. */
  readonly manifest?: ManifestOrigin;
  readonly template: PodTemplate;
  /** Short service name in the stack; DNS, host name and log prefixes use it. */
  readonly serviceName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Cluster-wide network names, sorted. */
  readonly networks: readonly string[];
  /** Ports published on this host alone (`mode: host`). */
  readonly hostPorts: readonly { readonly target: number; readonly published: number; readonly protocol: 'tcp' | 'udp'; readonly hostIp?: string }[];
  /** Drivers of the named volumes that the pod mounts, by cluster-wide name. */
  readonly volumes: Readonly<Record<string, { readonly driver: string; readonly driverOpts: Readonly<Record<string, string>> }>>;
  /** Contents of the secrets and configs it mounts. */
  readonly files: readonly { readonly reference: FileReference; readonly kind: 'secret' | 'config'; readonly container: string; readonly content: string }[];
  /** Credentials for the registries of its images, by `host[:port]`. Kept in memory only. Absent: none. */
  readonly registries?: Readonly<Record<string, RegistryAuth>>;
}

export interface ManifestOrigin {
  /** Part of the pod's id: `directory`, or the URL. */
  readonly source: string;
  /** The file, or the URL: for people, and to tell whose pods these are. */
  readonly origin: string;
}
