/** What a pod's worker does to the world: the actions of a step, through ports. Each is safe to repeat. */
import type { Log } from '../../lib/log.ts';
import type { Assignment } from '../../model/assignment.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import type { LogStore } from '../logs/store.ts';
import type { PodNetwork } from '../network/port.ts';
import type { ImageHandle, ImageMount, Images, ResolvedMount, Runtime } from '../runtime/port.ts';
import { hostnameOf } from '../volumes/network-files.ts';
import type { PodFiles } from '../volumes/pod-files.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { imageHealthcheck } from './step/health.ts';
import { containerId, type ImageFacts } from './step/types.ts';
import type { RuntimeView } from './view.ts';

export interface EffectPorts {
  readonly runtime: Runtime;
  readonly images: Images;
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

export class Effects {
  readonly #ports: EffectPorts;

  constructor(ports: EffectPorts) {
    this.#ports = ports;
  }

  /** Plugins' and the network's volumes. `unavailable`, saying what is waited for, while they are not there; the worker is woken when they are. */
  attachVolumes(assignment: Assignment): Promise<void> {
    return this.#ports.volumes.attach(assignment);
  }

  /** `not-found` when an image is not here. `withheld` are files whose content only a master has. */
  async prepare(assignment: Assignment, withheld: readonly number[]): Promise<Prepared> {
    const { files, volumes } = this.#ports;
    const prepared = new Map<string, PreparedContainer>();
    const images = await Promise.all(assignment.template.containers.map((container) => this.#image(container.image)));
    await files.write(assignment, new Set(withheld));
    for (const [i, container] of assignment.template.containers.entries()) {
      const image = images[i];
      if (!image) continue;
      // The user's mounts come first: one of them may replace a file of ours.
      const mounts = [...(await volumes.prepare(assignment, container, image)), ...files.mounts(assignment, container)];
      prepared.set(container.name, { image, mounts, imageMounts: await this.#imageMounts(container) });
    }
    return prepared;
  }

  async attach(assignment: Assignment): Promise<string> {
    const { id, ip } = assignment.pod;
    const { network, runtime } = this.#ports;
    const users = containersOf(assignment).some((container) => container.userns === 'private') ? { users: await runtime.users(id) } : {};
    const { netns } = await network.attach({ id, ip: assignment.template.networkMode === 'none' ? null : ip, ...users });
    return netns;
  }

  /**
   * Returns what could not be had as asked for, for people. `invalid` when this container can never be: nothing of it is left then.
   */
  async create(assignment: Assignment, name: string, attempt: number, prepared: Prepared, netns: string | null): Promise<readonly string[]> {
    const { runtime, logs, view, hostname, log } = this.#ports;
    const { pod, template } = assignment;
    const spec = template.containers.find((c) => c.name === name);
    const ready = prepared.get(name);
    if (!spec || !ready) throw new TsorchError('internal', `container ${name} of pod ${pod.id} was not prepared`);
    const id = containerId(pod.id, name, attempt);
    const output = await logs.begin({ id: pod.id, service: pod.service, slot: String(pod.slot), createdAt: pod.createdAt }, name, attempt);
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
        sharesIpc: containersOf(assignment).some((other) => other.ipc === `container:${name}`),
        env: { HOSTNAME: own },
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

  async release(podId: string): Promise<void> {
    await this.#ports.runtime.release(podId);
    await this.#ports.files.release(podId);
    await this.#ports.volumes.release(podId);
    await this.#ports.logs.close(podId);
  }

  /** Ids of the pod's containers that run, by name. */
  #peers({ pod }: Assignment): Record<string, string> {
    const running = this.#ports.view.of(pod.id).filter(({ state }) => state === 'running');
    return Object.fromEntries(running.map(({ id }) => [id.slice(pod.id.length + 1, id.lastIndexOf('.')), id]));
  }

  async #imageMounts(container: ContainerSpec): Promise<readonly ImageMount[]> {
    const wanted = container.mounts.flatMap((mount) => (mount.kind === 'image' ? [mount] : []));
    return await Promise.all(wanted.map(async ({ image, target, subpath }) => ({ image: await this.#image(image), target, ...(subpath === undefined ? {} : { subpath }) })));
  }

  async #image(reference: string): Promise<ImageHandle> {
    try {
      return await this.#ports.images.get(reference);
    } catch (error) {
      if (!isCode(error, 'not-found')) throw error;
      throw new TsorchError('not-found', `image ${reference} is not on this node: load it with tsorch image load`, { cause: error });
    }
  }
}

function containersOf({ template }: Assignment): readonly ContainerSpec[] {
  return [...(template.initContainers ?? []), ...template.containers];
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
