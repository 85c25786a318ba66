/** What a pod's worker does to the world: the actions of a step, through ports. Each is safe to repeat. */
import { failpoint } from '../../lib/failpoint.ts';
import type { Log } from '../../lib/log.ts';
import type { Assignment } from '../../model/assignment.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { genericEnv } from '../../model/generic.ts';
import { type ContainerSpec, containersOf } from '../../model/spec.ts';
import { normaliseReference, withDigest } from '../../lib/oci/reference.ts';
import type { Pulls, WishAnswer } from '../images/pulls.ts';
import type { LogStore } from '../logs/store.ts';
import type { PodNetwork } from '../network/port.ts';
import type { ImageHandle, ImageMount, ResolvedMount, Runtime } from '../runtime/port.ts';
import { hostnameOf } from '../volumes/network-files.ts';
import type { PodFiles } from '../volumes/pod-files.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { imageHealthcheck } from './step/health.ts';
import { containerId, type ImageFacts } from './step/types.ts';
import type { RuntimeView } from './view.ts';

export interface EffectPorts {
  readonly runtime: Runtime;
  readonly pulls: Pick<Pulls, 'want' | 'leave'>;
  readonly network: PodNetwork;
  readonly volumes: Volumes;
  readonly files: PodFiles;
  readonly logs: LogStore;
  readonly view: RuntimeView;
  /** The host's own name, for pods on its network. */
  readonly hostname: string;
  readonly log: Log;
}

/** What a create needs, by container. */
export type Prepared = ReadonlyMap<string, PreparedContainer>;

interface PreparedContainer {
  readonly image: ImageHandle;
  readonly mounts: readonly ResolvedMount[];
  readonly imageMounts: readonly ImageMount[];
}

export type Preparation = { readonly kind: 'ready'; readonly prepared: Prepared } | Extract<WishAnswer, { kind: 'waiting' }>;

export class Effects {
  readonly #ports: EffectPorts;

  constructor(ports: EffectPorts) {
    this.#ports = ports;
  }

  /** Plugins' and the network's volumes. `unavailable`, saying what is waited for, while they are not there; the worker is woken when they are. */
  attachVolumes(assignment: Assignment): Promise<void> {
    return this.#ports.volumes.attach(assignment);
  }

  /**
   * Waiting while an image is on its way, and then the pod is poked when there is news. `not-found` when one is not here and may not be
   * pulled. `withheld` are files whose content only a master has.
   */
  async prepare(assignment: Assignment, withheld: readonly number[]): Promise<Preparation> {
    const { files, volumes } = this.#ports;
    const prepared = new Map<string, PreparedContainer>();
    const containers = containersOf(assignment.template);
    const wishes = await Promise.all(containers.map((container) => this.#images(assignment, container)));
    const found: Extract<(typeof wishes)[number], { kind: 'here' }>[] = [];
    for (const wish of wishes) {
      if (wish.kind === 'waiting') return wish;
      found.push(wish);
    }
    await files.write(assignment, new Set(withheld));
    for (const [i, container] of containers.entries()) {
      const own = found[i];
      if (!own) continue;
      const { image, imageMounts } = own;
      // The user's mounts come first: one of them may replace a file of ours.
      const mounts = [...(await volumes.prepare(assignment, container, image)), ...files.mounts(assignment, container)];
      prepared.set(container.name, { image, mounts, imageMounts });
    }
    return { kind: 'ready', prepared };
  }

  async attach(assignment: Assignment): Promise<string> {
    const { id, ip } = assignment.pod;
    const { network, runtime } = this.#ports;
    const users = containersOf(assignment.template).some((container) => container.userns === 'private') ? { users: await runtime.users(id) } : {};
    const { netns } = await network.attach({ id, ip: assignment.template.networkMode === 'none' ? null : ip, ...users });
    return netns;
  }

  /**
   * Returns what could not be had as asked for, for people. `invalid` when this container can never be: nothing of it is left then.
   */
  async create(assignment: Assignment, name: string, attempt: number, prepared: Prepared, netns: string | null): Promise<readonly string[]> {
    const { runtime, logs, view, hostname, log } = this.#ports;
    const { pod, template } = assignment;
    const spec = containersOf(template).find((c) => c.name === name);
    const ready = prepared.get(name);
    if (!spec || !ready) throw new TsorchError('internal', `container ${name} of pod ${pod.id} was not prepared`);
    const id = containerId(pod.id, name, attempt);
    const output = await logs.begin({ id: pod.id, service: pod.service, slot: String(pod.slot), createdAt: pod.createdAt }, name, attempt, spec.logging);
    const own = template.networkMode === 'host' ? hostname : hostnameOf(assignment);
    try {
      const created = await runtime.create({
        id,
        podId: pod.id,
        labels: labelsOf(assignment, spec, attempt),
        image: ready.image,
        spec,
        hostname: own,
        ...(template.domainname === undefined ? {} : { domainname: template.domainname }),
        netns,
        mounts: ready.mounts,
        imageMounts: ready.imageMounts,
        peers: this.#peers(assignment),
        sharesIpc: containersOf(assignment.template).some((other) => other.ipc === `container:${name}`),
        env: { HOSTNAME: own, ...genericEnv(template.reservations.generic, pod.generic) },
        sysctls: template.sysctls,
        stdout: output.stdout,
        stderr: output.stderr,
      });
      for (const warning of created.warnings ?? []) log.warn('not as asked for', { pod: pod.id, container: name, warning });
      view.created(created);
      return created.warnings ?? [];
    } catch (error) {
      if (isCode(error, 'invalid')) await this.remove(pod.id, id);
      throw error;
    }
  }

  async start(id: string): Promise<void> {
    await this.#ports.runtime.start(id);
    this.#ports.view.started(id);
  }

  async remove(podId: string, id: string): Promise<void> {
    const { runtime, view, logs } = this.#ports;
    await runtime.remove(id);
    // Only now has all of its output arrived.
    const parts = id.slice(podId.length + 1).split('.');
    await logs.end(podId, parts.slice(0, -1).join('.'), Number(parts.at(-1)));
    view.removed(id);
  }

  /** Of a pod that is to end: it waits for no image any more. */
  leave(podId: string): void {
    this.#ports.pulls.leave(podId);
  }

  async release(podId: string): Promise<void> {
    this.leave(podId);
    await this.#ports.runtime.release(podId);
    await this.#ports.files.release(podId);
    failpoint('release.files', podId);
    await this.#ports.volumes.release(podId);
    await this.#ports.logs.close(podId);
  }

  /** Ids of the pod's containers that run, by name. */
  #peers({ pod }: Assignment): Record<string, string> {
    const running = this.#ports.view.of(pod.id).filter(({ state }) => state === 'running');
    return Object.fromEntries(running.map(({ id }) => [id.slice(pod.id.length + 1, id.lastIndexOf('.')), id]));
  }

  /** The container's image, and those it mounts. */
  async #images(assignment: Assignment, container: ContainerSpec): Promise<{ readonly kind: 'here'; readonly image: ImageHandle; readonly imageMounts: readonly ImageMount[] } | Extract<WishAnswer, { kind: 'waiting' }>> {
    const mounts = container.mounts.flatMap((mount) => (mount.kind === 'image' ? [mount] : []));
    const want = async ({ image, imageDigest }: Pick<ContainerSpec, 'image' | 'imageDigest'>) => {
      const { pod, registries = {} } = assignment;
      const [registry = ''] = normaliseReference(image).split('/');
      return await this.#ports.pulls.want({ podId: pod.id, reference: withDigest(image, imageDigest), policy: container.pullPolicy, credentials: registries[registry] ?? null });
    };
    const own = await want(container);
    if (own.kind === 'waiting') return own;
    const imageMounts: ImageMount[] = [];
    for (const mount of mounts) {
      const answer = await want(mount);
      if (answer.kind === 'waiting') return answer;
      imageMounts.push({ image: answer.image, target: mount.target, ...(mount.subpath === undefined ? {} : { subpath: mount.subpath }) });
    }
    return { kind: 'here', image: own.image, imageMounts };
  }
}

export function imageFacts(image: ImageHandle): ImageFacts {
  const healthcheck = imageHealthcheck(image.config.healthcheck);
  const { stopSignal } = image.config;
  return { digest: image.digest, ...(stopSignal ? { stopSignal } : {}), ...(healthcheck ? { healthcheck } : {}) };
}

/** containerd takes labels up to this size, key and value together. */
const longestLabel = 4096;

function labelsOf({ pod, serviceName }: Assignment, spec: ContainerSpec, attempt: number): Record<string, string> {
  const users = Object.entries(spec.labels).filter(([key, value]) => key.length + value.length < longestLabel);
  return {
    ...Object.fromEntries(users),
    'tsorch.pod': pod.id,
    'tsorch.container': spec.name,
    'tsorch.attempt': String(attempt),
    'tsorch.service': pod.service,
    'tsorch.service-name': serviceName,
    'tsorch.stack': pod.stack,
    'tsorch.slot': String(pod.slot),
  };
}
