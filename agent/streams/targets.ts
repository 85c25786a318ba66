/** What a stream is about: a container of a pod of this host. */
import { TsorchError } from '../../model/errors.ts';
import type { RunningContainer } from '../pods/worker.ts';
import type { StreamContext } from './serve.ts';

/** `unavailable` when it does not run here. */
export function runningContainer(context: Pick<StreamContext, 'pods'>, params: { readonly podId: string; readonly container?: string }): RunningContainer {
  const found = context.pods.get(params.podId)?.running(params.container);
  if (found) return found;
  const what = params.container === undefined ? `pod ${params.podId}` : `container ${params.container} of pod ${params.podId}`;
  throw new TsorchError('unavailable', `${what} is not running on this node`, { hint: 'see tsorch ps' });
}
