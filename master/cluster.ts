/** What a cluster is from its first start on. */
import { randomBytes } from 'node:crypto';
import { isCode, TsorchError } from '../model/errors.ts';
import type { ClusterConfig, Store } from './store/port.ts';
import type { World } from './world.ts';

/** What flags say of a cluster; it holds when the cluster is made. */
export interface ClusterWish {
  readonly podCidr?: string;
  readonly serviceCidr?: string;
  readonly underlay?: ClusterConfig['underlay'];
}

/** The cluster's constants, written by its first master; later ones must agree with what their flags say. */
export async function ensureCluster(store: Store, world: World, options: ClusterWish, signal: AbortSignal): Promise<ClusterConfig> {
  if (!world.get('cluster', 'config')) {
    const config: ClusterConfig = {
      id: randomBytes(8).toString('hex'), podCidr: options.podCidr ?? '10.32.0.0/12', nodePrefix: 24, serviceCidr: options.serviceCidr ?? '10.30.0.0/16', underlay: options.underlay ?? 'auto',
    };
    try {
      const { revision } = await store.commit([{ op: 'put', kind: 'cluster', id: 'config', value: config, guard: 0 }]);
      await world.waitFor(revision, signal);
    } catch (error) {
      // Another master was first: its word holds.
      if (!isCode(error, 'conflict')) throw error;
    }
  }
  const config = world.get('cluster', 'config') ?? (await store.get('cluster', 'config'))?.value;
  if (!config) throw new TsorchError('internal', 'the cluster has no configuration');
  for (const [flag, wanted, actual] of [['pod-cidr', options.podCidr, config.podCidr], ['service-cidr', options.serviceCidr, config.serviceCidr]] as const) {
    if (wanted !== undefined && wanted !== actual) throw new TsorchError('invalid', `--${flag} ${wanted} is not what the cluster was made with (${actual})`, { hint: `leave --${flag} away` });
  }
  return config;
}
