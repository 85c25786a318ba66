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
  /** Take everything off this host and end. */
  readonly teardown?: boolean;
}
