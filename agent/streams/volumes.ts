/**
 * Named volumes of this host. `volume-list`: one `message`, an array of FoundVolume. `volume-usage`: `{name}`, one `message`, bytes or null.
 * `volume-create`: `{name, driver, driverOpts}`. `volume-rm`: `{name, driver, forget, epoch}`.
 */
import { TsorchError } from '../../model/errors.ts';
import { isRecord } from '../state.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

export interface VolumeStreamParams {
  readonly name: string;
  readonly driver: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly forget: boolean;
}

export async function serveVolumeList(stream: FrameStream, context: StreamContext): Promise<void> {
  stream.discardInput();
  await stream.send({ $case: 'message', value: JSON.stringify(await context.volumes.list()) });
  await stream.done(0);
}

export async function serveVolumeUsage(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  await stream.send({ $case: 'message', value: JSON.stringify(await context.volumes.usage(volumeParams(params).name)) });
  await stream.done(0);
}

export async function serveVolumeCreate(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { name, driver, driverOpts } = volumeParams(params);
  await context.volumes.create(name, { driver, driverOpts });
  await stream.done(0);
}

/** A pod of this host that has it is in the way; whether others want it is for the master to know. */
export async function serveVolumeRemove(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  obey(params, context);
  const { name, driver, forget } = volumeParams(params);
  await context.volumes.remove(name, driver, { forget });
  await stream.done(0);
}

/** What destroys data is a leader's to say: one that was deposed meanwhile is not obeyed. */
export function obey(params: unknown, context: Pick<StreamContext, 'epoch'>): void {
  const epoch = isRecord(params) ? params['epoch'] : undefined;
  if (typeof epoch === 'number' && epoch < context.epoch()) throw new TsorchError('fenced', `the master speaks for epoch ${epoch}, this agent has obeyed ${context.epoch()}`);
}

export function volumeParams(params: unknown): VolumeStreamParams {
  const { name, driver = 'local', driverOpts = {}, forget = false } = isRecord(params) ? params : {};
  if (typeof name !== 'string' || typeof driver !== 'string' || !isRecord(driverOpts) || !Object.values(driverOpts).every((value) => typeof value === 'string')) {
    throw new TsorchError('invalid', 'the stream needs the name of a volume');
  }
  return { name, driver, driverOpts: driverOpts as Readonly<Record<string, string>>, forget: forget === true };
}
