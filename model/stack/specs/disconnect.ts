/** `x-on-disconnect`: whether pods run on while no master hears of their host. */
import { defaultStopAfterMs, leastStopAfterMs } from '../../disconnect.ts';
import type { PodTemplate } from '../../spec.ts';
import type { Reader } from './reader.ts';

/** Undefined where they run on. */
export function makeOnDisconnect(service: Reader): PodTemplate['onDisconnect'] {
  const key = service.at('x-on-disconnect');
  if (key.node?.kind !== 'map') return undefined;
  const stopAfterMs = key.ms('after');
  if (key.text('action') !== 'stop') {
    if (stopAfterMs !== undefined) key.at('after').error('with action: keep nothing happens after any time', 'remove it, or say action: stop');
    return undefined;
  }
  if (stopAfterMs !== undefined && stopAfterMs < leastStopAfterMs) key.at('after').error('so short a time would stop pods whenever a master is started again', `use ${leastStopAfterMs / 1000}s or more`);
  return { stopAfterMs: stopAfterMs ?? defaultStopAfterMs };
}
