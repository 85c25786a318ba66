/** What the command line says of a host's own manifests. */
import { resolve } from 'node:path';
import type { ManifestSettings } from '../../agent/manifests/open.ts';
import { UsageError } from '../exit.ts';
import { parseDuration } from '../output/values.ts';
import type { HostArguments } from './arguments.ts';

const leastIntervalMs = 100;

/** Undefined when there are none. */
export function manifestSettings(args: HostArguments): ManifestSettings | undefined {
  const { manifests, manifestUrl, manifestHeader = [], manifestCa, manifestInterval, localCidr } = args;
  if (manifests === undefined && manifestUrl === undefined) {
    if (manifestHeader.length > 0 || manifestCa !== undefined) throw new UsageError('--manifest-header and --manifest-ca go with --manifest-url URL');
    return undefined;
  }
  const intervalMs = manifestInterval === undefined ? undefined : parseDuration(manifestInterval);
  if (intervalMs !== undefined && intervalMs < leastIntervalMs) throw new UsageError(`--manifest-interval ${manifestInterval ?? ''}: no shorter than ${leastIntervalMs} ms`);
  if (manifestUrl !== undefined && !/^https?:\/\//i.test(manifestUrl)) throw new UsageError(`--manifest-url ${manifestUrl}: write https://HOST/PATH`);
  return {
    headers: Object.fromEntries(manifestHeader.map(parseHeader)),
    ...(manifests === undefined ? {} : { directory: resolve(manifests) }),
    ...(manifestUrl === undefined ? {} : { url: manifestUrl }),
    ...(manifestCa === undefined ? {} : { caFile: resolve(manifestCa) }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(localCidr === undefined ? {} : { localCidr }),
  };
}

/** `Authorization: Bearer …`; curl's way of writing it, and the kubelet's. */
function parseHeader(text: string): [string, string] {
  const found = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n]*)$/.exec(text);
  if (!found?.[1]) throw new UsageError(`--manifest-header ${JSON.stringify(text)}: write 'NAME: VALUE'`);
  return [found[1].toLowerCase(), found[2] ?? ''];
}
