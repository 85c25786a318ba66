/** Says when the images of this host may have changed, whoever changed them. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { EventsService } from '../../proto/gen/containerd/events.ts';
import type { ContainerdClient } from '../runtime/client.ts';

const retryMs = 500;

/** Calls back at every change, and after every gap in which there may have been one. Resolves when the signal has fired. */
export async function watchImages(client: ContainerdClient, changed: () => void, options: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal }): Promise<void> {
  const { clock, log, signal } = options;
  while (!signal.aborted) {
    const stream = client.stream(EventsService.subscribe, { filters: [`namespace==${client.namespace},topic~="^/images/"`] });
    const cancel = () => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      changed();
      for await (const _ of stream) changed();
    } catch (error) {
      if (!signal.aborted) log.debug('the stream of image events ended, subscribing again', { error });
    } finally {
      signal.removeEventListener('abort', cancel);
      stream.on('error', () => {});
      stream.cancel();
    }
    await clock.sleep(retryMs, signal).catch(() => {});
  }
}
