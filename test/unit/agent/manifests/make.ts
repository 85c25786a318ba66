/** Manifests for tests: stacks from text, and a host that does what is decided, step by step. */
import { createHash } from 'node:crypto';
import { acceptStacks } from '../../../../agent/manifests/plan/accept.ts';
import { decide, type DecideInput, type Decision } from '../../../../agent/manifests/plan/decide.ts';
import { expandStack } from '../../../../agent/manifests/plan/expand.ts';
import type { Given, LocalPod, ManifestHost, ManifestStack } from '../../../../agent/manifests/plan/types.ts';
import { loadStack } from '../../../../model/stack/load.ts';
import type { PodStatus } from '../../../../model/pod.ts';
import type { StackSpec } from '../../../../model/spec.ts';

export const host: ManifestHost = {
  hostId: 'h1', nodeId: 'n1', name: 'edge-1', podCidr: '10.31.0.0/17', vipCidr: '10.31.128.0/17',
  target: { id: 'n1', name: 'edge-1', address: '192.0.2.1', role: 'worker', os: 'linux', arch: 'x86_64', labels: { type: 'edge' }, engineLabels: {} },
};

export const hash = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export function stackOf(text: string, name = 'web'): StackSpec {
  const result = loadStack({ files: [{ path: `${name}.yml`, content: text }], env: {}, workingDir: '/m', defaultName: name, readFile: () => null });
  if (!result.ok) throw new Error(result.errors.map(({ message, at }) => `${at.line}:${at.column}: ${message}`).join('\n'));
  return result.stack;
}

export function manifest(text: string, name = 'web', origin = `/m/${name}.yml`): ManifestStack {
  return { source: 'directory', origin, spec: stackOf(text, name) };
}

const fresh = (id: string, phase: PodStatus['phase'] = 'assigned'): PodStatus => ({ id, node: 'n1', phase, ready: false, message: '', restarts: 0, since: 0, containers: [] });

/** The pods of a host that obeys. Nothing happens by itself: tests say when a pod becomes ready, ends, or is gone. */
export class FakeHost {
  given: Given = { vips: {}, ports: {} };
  stacks: readonly ManifestStack[];
  /** Pods nobody is sent to any more; all that drain unless told. */
  drained: (id: string) => boolean = () => true;
  keeps: (pod: LocalPod) => boolean = () => false;
  holders: NonNullable<DecideInput['holders']> = [];
  readonly host: ManifestHost;
  readonly pods = new Map<string, LocalPod>();
  /** Every pod there ever was, in the order of their birth. */
  readonly born: string[] = [];

  constructor(stacks: readonly ManifestStack[] = [], of: ManifestHost = host) {
    this.stacks = stacks;
    this.host = of;
  }

  decide(): Decision {
    const { ports } = acceptStacks({ contents: this.stacks.map(({ source, origin, spec }) => ({ source, entries: [{ origin, specs: [spec], warnings: [] }] })), before: [], ports: this.given.ports, clusterStacks: new Set() });
    const services = this.stacks.flatMap((stack) => expandStack(stack, this.host, hash));
    return decide({ host: this.host, services, pods: [...this.pods.values()], given: { ...this.given, ports }, keeps: this.keeps, drained: this.drained, holders: this.holders, now: 1, hash });
  }

  /** One decision, done. */
  pass(): Decision {
    const decision = this.decide();
    for (const assignment of decision.create) {
      const { id } = assignment.pod;
      if (this.pods.has(id)) throw new Error(`${id} is there already`);
      this.pods.set(id, { assignment, status: fresh(id), removed: false });
      this.born.push(id);
    }
    for (const { id, reason } of decision.drain) this.#change(id, (pod) => ({ ...pod, assignment: { ...pod.assignment, pod: { ...pod.assignment.pod, desired: 'draining', reason } } }));
    for (const id of decision.remove) this.#change(id, (pod) => ({ ...pod, removed: true, status: { ...pod.status, ready: false } }));
    this.given = decision.given;
    return decision;
  }

  status(id: string, status: Partial<PodStatus>): void {
    this.#change(id, (pod) => ({ ...pod, status: { ...pod.status, ...status } }));
  }

  ready(...ids: readonly string[]): void {
    for (const id of ids.length > 0 ? ids : this.pods.keys()) this.status(id, { phase: 'running', ready: true });
  }

  /** Removed pods are wholly gone. */
  clear(): void {
    for (const [id, { removed }] of this.pods) if (removed) this.pods.delete(id);
  }

  /** Everything goes as it should until there is nothing left to do. */
  settle(): void {
    for (let i = 0; i < 200; i++) {
      const { create, drain, remove } = this.pass();
      const leaving = [...this.pods.values()].some(({ removed }) => removed);
      this.clear();
      for (const [id, { status, removed, assignment }] of this.pods) if (!removed && status.phase === 'assigned' && assignment.pod.desired === 'running') this.ready(id);
      if (create.length + drain.length + remove.length === 0 && !leaving) return;
    }
    throw new Error('it does not come to rest');
  }

  names(): readonly string[] {
    return [...this.pods.values()].map(({ assignment: { pod } }) => `${pod.service}.${pod.slot}`).sort();
  }

  ids(): readonly string[] {
    return [...this.pods.keys()].sort();
  }

  #change(id: string, change: (pod: LocalPod) => LocalPod): void {
    const pod = this.pods.get(id);
    if (!pod) throw new Error(`no pod ${id}`);
    this.pods.set(id, change(pod));
  }
}
