/** Where a pod's template has texts that Swarm's templates may stand in: environment, host name, mounts. */
import type { Pod } from '../pod.ts';
import { podName } from '../pod.ts';
import { serviceId, type ContainerSpec, type Hook, type MountSpec, type PodTemplate, type ServiceSpec } from '../spec.ts';
import { expandTemplate, isTemplate, type TemplateContext } from './swarm.ts';

export interface NodeFacts {
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
}

export function contextOf(pod: Pick<Pod, 'id' | 'slot' | 'node'>, spec: Pick<ServiceSpec, 'stack' | 'name' | 'labels'>, { hostname, os, arch }: NodeFacts): TemplateContext {
  const id = serviceId(spec.stack, spec.name);
  return {
    Service: { ID: id, Name: id, Labels: spec.labels },
    Node: { ID: pod.node ?? '', Hostname: hostname, Platform: { OS: os, Architecture: arch } },
    Task: { ID: pod.id, Name: `${podName(id, pod.slot)}.${pod.id}`, Slot: String(pod.slot) },
  };
}

/** To try a template before there is a pod: what depends on the pod is made up, what depends on the service is its own. */
export function sampleContext(spec: Pick<ServiceSpec, 'stack' | 'name' | 'labels'>): TemplateContext {
  return contextOf({ id: 'x7k2m9qd0c', slot: 1, node: 'n1' }, spec, { hostname: 'node-1', os: 'linux', arch: 'x86_64' });
}

/** The kernel's limit. */
export const maxHostname = 64;

type Change = (text: string) => string;

/** The same value when there is nothing to fill in. A text that cannot be filled in stays as it is: it was checked before. */
export function expandPod(template: PodTemplate, context: TemplateContext): PodTemplate {
  if (!hasTemplates(template)) return template;
  const made = change(template, (text) => {
    const result = expandTemplate(text, context);
    return 'ok' in result ? result.ok : text;
  });
  return made.hostname === undefined ? made : { ...made, hostname: made.hostname.slice(0, maxHostname).replace(/[-._]+$/, '') };
}

/** What is wrong with a template in there, the first of all; null when nothing is. */
export function templateProblem(spec: ServiceSpec): string | null {
  if (!hasTemplates(spec.template)) return null;
  const context = sampleContext(spec);
  let problem: string | null = null;
  change(spec.template, (text) => {
    const made = expandTemplate(text, context);
    if (problem === null && 'error' in made) problem = `the template ${JSON.stringify(text.slice(0, 100))}: ${made.error}`;
    return text;
  });
  return problem;
}

function hasTemplates(template: PodTemplate): boolean {
  let found = false;
  change(template, (text) => {
    found ||= isTemplate(text);
    return text;
  });
  return found;
}

function change(template: PodTemplate, to: Change): PodTemplate {
  return {
    ...template,
    containers: template.containers.map((container) => changeContainer(container, to)),
    ...(template.initContainers ? { initContainers: template.initContainers.map((container) => changeContainer(container, to)) } : {}),
    ...(template.hostname === undefined ? {} : { hostname: to(template.hostname) }),
  };
}

function changeContainer(container: ContainerSpec, to: Change): ContainerSpec {
  const hooks = (list: readonly Hook[]): readonly Hook[] => list.map((hook) => ({ ...hook, env: changeAll(hook.env, to) }));
  return {
    ...container,
    env: changeAll(container.env, to),
    mounts: container.mounts.map((mount) => changeMount(mount, to)),
    ...(container.postStart ? { postStart: hooks(container.postStart) } : {}),
    ...(container.preStop ? { preStop: hooks(container.preStop) } : {}),
  };
}

function changeAll<T extends string | null>(texts: Readonly<Record<string, T>>, to: Change): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, typeof text === 'string' ? to(text) as T : text]));
}

function changeMount(mount: MountSpec, to: Change): MountSpec {
  const target = to(mount.target);
  switch (mount.kind) {
    case 'bind': return { ...mount, target, source: to(mount.source) };
    case 'volume': return { ...mount, target, ...(mount.labels ? { labels: changeAll(mount.labels, to) } : {}) };
    case 'pod': case 'image': case 'tmpfs': return { ...mount, target };
  }
}
