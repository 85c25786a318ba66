/** `pid`, `ipc`, `uts`, `cgroup`, `userns_mode`, `cgroup_parent`: what a container does not have for itself. */
import type { ContainerSpec } from '../../spec.ts';
import type { PodScope, StackContext } from './context.ts';
import { parseReference } from './pods/plan.ts';
import type { Reader } from './reader.ts';

type Namespaces = Pick<ContainerSpec, 'pid' | 'ipc' | 'uts' | 'cgroupns' | 'userns' | 'cgroupParent'>;

export function makeNamespaces(of: Reader, name: string, context: StackContext, scope: PodScope): Namespaces {
  const pid = share(of, 'pid', ['host'], name, context, scope);
  const ipc = share(of, 'ipc', ['host', 'none', 'shareable', 'private'], name, context, scope);
  const cgroup = of.text('cgroup');
  const cgroupParent = makeParent(of);
  const userns = of.text('userns_mode') === 'private';
  if (userns && of.flag('privileged') === true) of.at('userns_mode').error('a privileged container has the host\'s users', 'remove privileged, or userns_mode');
  return {
    ...(pid === undefined ? {} : { pid }),
    ...(ipc === undefined || ipc === 'private' ? {} : { ipc }),
    ...(of.text('uts') === 'host' ? { uts: 'host' as const } : {}),
    ...(cgroup === 'host' || cgroup === 'private' ? { cgroupns: cgroup } : {}),
    ...(userns ? { userns: 'private' as const } : {}),
    ...(cgroupParent === undefined ? {} : { cgroupParent }),
  };
}

/** The containers of its pod that a container shares namespaces with: they must be there first. */
export function sharedWith(spec: Namespaces): readonly string[] {
  return [spec.pid, spec.ipc].flatMap((mode) => (mode?.startsWith('container:') === true ? [mode.slice('container:'.length)] : []));
}

function share(of: Reader, key: 'pid' | 'ipc', modes: readonly string[], name: string, context: StackContext, scope: PodScope): string | undefined {
  const text = of.text(key);
  if (text === undefined || text === '' || modes.includes(text)) return text || undefined;
  const at = of.at(key);
  const reference = parseReference(text);
  if (!reference) {
    at.error(`there is no ${key} mode ${JSON.stringify(text)}`, `the modes are ${modes.join(', ')}, service:NAME and container:NAME`);
    return undefined;
  }
  const target = reference.kind === 'service' || scope.containers.has(reference.name) ? reference.name : context.pods.byContainer(reference.name);
  if (target === name) at.error(`the container ${name} cannot share its own ${key} namespace`, 'remove it');
  else if (target !== undefined && scope.containers.has(target)) return `container:${target}`;
  else if (target !== undefined && context.services.has(target)) at.error(`${key}: ${text} needs both in one pod, and ${target} has pods of its own`, `add network_mode: ${text}`);
  else at.error(`there is no ${reference.kind} ${JSON.stringify(reference.name)}`, `name a container of the pod: ${[...scope.containers].filter((other) => other !== name).join(', ') || 'this one is alone in it'}`);
  return undefined;
}

function makeParent(of: Reader): string | undefined {
  const text = of.text('cgroup_parent');
  if (text === undefined || text === '') return undefined;
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || parts.some((part) => !/^[\w.@:-]{1,255}$/.test(part))) of.at('cgroup_parent').error(`${JSON.stringify(text)} cannot be a cgroup`, 'write such as batch, or batch/night');
  return parts.length === 0 ? undefined : parts.join('/');
}
