/** Named volumes of this host. `volume-list`: one `message`, an array of names. `volume-rm`: `{name}`. */
import { TsorchError } from '../../model/errors.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

export async function serveVolumeList(stream: FrameStream, context: StreamContext): Promise<void> {
  stream.discardInput();
  await stream.send({ $case: 'message', value: JSON.stringify(await context.volumes.list()) });
  await stream.done(0);
}

/** Whether a pod still uses it is for the master to know; a mount that is in use stays readable for its container. */
export async function serveVolumeRemove(stream: FrameStream, params: { readonly name?: unknown }, context: StreamContext): Promise<void> {
  stream.discardInput();
  if (typeof params.name !== 'string') throw new TsorchError('invalid', 'volume-rm needs a name');
  await context.volumes.remove(params.name);
  await stream.done(0);
}
