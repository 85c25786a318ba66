/** A host's own manifests as its settings say, wired to its pods, network and proxy. */
import { TsorchError } from '../../model/errors.ts';
import { halves } from '../../model/allocate/cidr.ts';
import type { GenericCapacity } from '../../model/generic.ts';
import type { ConstraintTarget } from '../../model/constraint/types.ts';
import { Loop } from '../../lib/loop.ts';
import type { PodNetwork } from '../network/port.ts';
import type { Pods } from '../pods/pods.ts';
import type { Images } from '../runtime/port.ts';
import { Archives } from './archives.ts';
import { DirectorySource } from './directory.ts';
import { get, type Get } from './http.ts';
import { Manifests, type ManifestsOptions } from './manifests.ts';
import type { ManifestSource } from './source.ts';
import { ManifestStateFile } from './state.ts';
import { TableFile } from './table-file.ts';
import { UrlSource } from './url.ts';

export interface ManifestSettings {
  /** Absolute. */
  readonly directory?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly caFile?: string;
  /** Between two looks at the directory, or two requests. */
  readonly intervalMs?: number;
  /** Addresses that never leave this host: the lower half for pods, the upper half for services. */
  readonly localCidr?: string;
}

export const defaultLocalCidr = '10.31.0.0/16';
const defaultIntervalMs = 20_000;

export interface OpenManifestsOptions extends Pick<ManifestsOptions, 'clusterRanges' | 'report' | 'gone' | 'onProblems' | 'clock' | 'log' | 'signal'> {
  /** Absent: there are none, and what is left of earlier ones goes. */
  readonly settings?: ManifestSettings;
  readonly pods: Pods;
  readonly images: Images;
  readonly network: PodNetwork;
  readonly netnsDir: string;
  readonly stateDir: string;
  readonly nodeId: string;
  readonly hostname: string;
  readonly target: () => ConstraintTarget;
  /** Counted resources of the host. */
  readonly generic?: GenericCapacity;
  readonly random: () => number;
  readonly get?: Get;
  /** Instead of those of the settings. */
  readonly sources?: readonly ManifestSource[];
}

/** Resolves to null when there is nothing to do for it, now or later. */
export async function openManifests(options: OpenManifestsOptions): Promise<Manifests | null> {
  const { settings, pods, stateDir, clock, log, signal, network, netnsDir, nodeId, hostname, target } = options;
  const state = await ManifestStateFile.open(stateDir);
  if (!settings && !options.sources && !state.existed && pods.locals().length === 0) {
    pods.tell('manifests');
    return null;
  }
  const blocks = halves(settings?.localCidr ?? defaultLocalCidr);
  if (!blocks) throw new TsorchError('invalid', `--local-cidr ${settings?.localCidr ?? ''} is no range with room for pods and services`, { hint: `write it as ${defaultLocalCidr}` });
  const [podCidr, vipCidr] = blocks;
  const sources = options.sources ?? makeSources(options, state);
  const outside: { manifests?: Manifests } = {};
  const table = await TableFile.open(stateDir, { log, signal, changed: () => outside.manifests?.mark() });
  const manifests = new Manifests({
    ...options, sources, state, table,
    host: () => ({ nodeId, name: hostname, target: target(), podCidr, vipCidr, ...(options.generic ? { generic: options.generic } : {}) }),
    holders: () => pods.clusterHolders(),
    clusterStacks: () => pods.clusterStacks(),
  });
  outside.manifests = manifests;
  // Pods wait for it, and for nothing of a cluster's.
  const loop = new Loop({
    name: 'local network', clock, log, signal, maxBackoffMs: 5000,
    run: async () => {
      await network.prepareLocal({ podCidr, netnsDir });
      pods.setLocalNetworkReady();
    },
  });
  loop.mark();
  return manifests;
}

function makeSources(options: OpenManifestsOptions, state: ManifestStateFile): readonly ManifestSource[] {
  const { settings = {}, hostname, clock, log, signal, random, images, pods } = options;
  const { directory, url, headers = {}, caFile, intervalMs = defaultIntervalMs } = settings;
  // Little, and nothing of the agent's own environment: there are tokens in it.
  const env = { HOSTNAME: hostname };
  const sources: ManifestSource[] = [];
  if (directory !== undefined) {
    const source = new DirectorySource({ directory, intervalMs, env, clock, log, signal });
    const archives = new Archives({ images, state, log, signal, loaded: () => pods.poke() });
    source.onArchives((files) => archives.set(files));
    sources.push(source);
  }
  if (url !== undefined) sources.push(new UrlSource({ url, headers, intervalMs, env, clock, log, signal, random, get: options.get ?? get, ...(caFile === undefined ? {} : { caFile }) }));
  return sources;
}
