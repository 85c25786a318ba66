/** What the programs are started with, from the command line. */
export interface MasterArguments {
  readonly stateDir: string;
  readonly runDir: string;
  readonly listen: string;
  readonly grpc: string;
  /** Comma-separated URLs. */
  readonly etcdEndpoints?: string;
  readonly name?: string;
  readonly podCidr?: string;
  readonly serviceCidr?: string;
  readonly underlay?: string;
  /** A file, see docs/registries.md. */
  readonly registryConfig?: string;
}

export interface HostArguments {
  /** `host` is agent and proxy in one process. */
  readonly kind: 'host' | 'agent' | 'proxy';
  /** URL or HOST:PORT of a master's API. */
  readonly master?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly name?: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly address?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cgroupRoot?: string;
  readonly bpfDir?: string;
  readonly underlay?: string;
  /** Where other nodes fetch image blobs, and how many bytes per second they all get. */
  readonly blobPort?: string;
  readonly blobRate?: string;
  /** A file, see docs/registries.md. */
  readonly registryConfig?: string;
  /** When images are collected: percents of the disk in use, and a time. */
  readonly imageGcHigh?: string;
  readonly imageGcLow?: string;
  readonly imageGcAge?: string;
  /** `gpu=2`, `gpu=UUID1,UUID2`: counted resources of this host. */
  readonly genericResource?: readonly string[];
  /** A directory of stack files that this host runs by itself, master or not. */
  readonly manifests?: string;
  /** A URL of such, with what goes along with each request. */
  readonly manifestUrl?: string;
  readonly manifestHeader?: readonly string[];
  readonly manifestCa?: string;
  /** Between two looks at either, as `20s`. */
  readonly manifestInterval?: string;
  /** Addresses for their pods and services, which never leave this host. */
  readonly localCidr?: string;
  /** Take everything off this host and end. */
  readonly teardown?: boolean;
}
