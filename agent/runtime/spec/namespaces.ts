/** Which namespaces a container gets, joins, or does without. */
import { TsorchError } from '../../../model/errors.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import type { OciNamespace } from './oci.ts';

/** What a `pid:` or `ipc:` asks for. */
export type Sharing = { readonly kind: 'own' } | { readonly kind: 'host' } | { readonly kind: 'none' } | { readonly kind: 'shareable' } | { readonly kind: 'container'; readonly name: string };

export interface NamespaceRequest {
  readonly spec: Pick<ContainerSpec, 'pid' | 'ipc' | 'uts' | 'cgroupns'>;
  /** Path of the pod's; null for the host's. */
  readonly netns: string | null;
  /** Path of the pod's user namespace; null for the host's. */
  readonly users: string | null;
  readonly cgroup: 'v1' | 'hybrid' | 'v2';
  /** Pids of the containers that it joins, by name. */
  readonly peers: Readonly<Record<string, number>>;
}

export function pidSharing(pid: string | undefined): Sharing {
  const sharing = parse(pid);
  if (sharing === null || sharing.kind === 'none' || sharing.kind === 'shareable') throw unknown('pid', pid, '`host` and `container:NAME`');
  return sharing;
}

export function ipcSharing(ipc: string | undefined): Sharing {
  const sharing = parse(ipc);
  if (sharing === null) throw unknown('ipc', ipc, '`host`, `none`, `private`, `shareable` and `container:NAME`');
  return sharing;
}

/** Names of the containers of the pod that this one joins. */
export function joinedContainers(spec: Pick<ContainerSpec, 'pid' | 'ipc'>): readonly string[] {
  return [...new Set([pidSharing(spec.pid), ipcSharing(spec.ipc)].flatMap((sharing) => (sharing.kind === 'container' ? [sharing.name] : [])))];
}

export function containerNamespaces({ spec, netns, users, cgroup, peers }: NamespaceRequest): readonly OciNamespace[] {
  // With one hierarchy a container sees its own limits only in a cgroup namespace; with several, the mounts alone show them.
  const cgroupns = spec.cgroupns ?? (cgroup === 'v2' ? 'private' : 'host');
  return [
    ...namespace('pid', pidSharing(spec.pid), peers),
    ...namespace('ipc', ipcSharing(spec.ipc), peers),
    ...(spec.uts === 'host' ? [] : [{ type: 'uts' } as const]),
    { type: 'mount' },
    ...(cgroupns === 'private' ? [{ type: 'cgroup' } as const] : []),
    ...(users === null ? [] : [{ type: 'user', path: users } as const]),
    // The host's network is had by leaving the entry out; naming the host's namespace fails in the runtimes.
    ...(netns === null ? [] : [{ type: 'network', path: netns } as const]),
  ];
}

function namespace(type: 'pid' | 'ipc', sharing: Sharing, peers: Readonly<Record<string, number>>): readonly OciNamespace[] {
  switch (sharing.kind) {
    case 'host':
      return [];
    case 'own':
    case 'none':
    case 'shareable':
      return [{ type }];
    case 'container': {
      const pid = peers[sharing.name];
      if (pid === undefined) throw new TsorchError('internal', `the process of container ${sharing.name} was not looked up`);
      return [{ type, path: `/proc/${pid}/ns/${type}` }];
    }
  }
}

function parse(text: string | undefined): Sharing | null {
  if (text === undefined || text === '' || text === 'private') return { kind: 'own' };
  if (text === 'host' || text === 'none' || text === 'shareable') return { kind: text };
  const name = /^container:(.+)$/.exec(text)?.[1];
  return name === undefined ? null : { kind: 'container', name };
}

function unknown(key: string, text: string | undefined, known: string): TsorchError {
  return new TsorchError('invalid', `${key}: ${JSON.stringify(text)} is not known`, { hint: `known are ${known}` });
}
