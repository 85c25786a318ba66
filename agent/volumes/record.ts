/** What is kept of a volume beside its data. A volume without a record is one of the local driver's, without options. */
import path from 'node:path';
import { isRecord, readJson, writeWhole } from '../state.ts';

export interface VolumeRecord {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Of an anonymous volume. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The image's content is being copied into it, or was when the agent died: it is not complete. */
  readonly filling?: true;
  /** It has got what it begins with. */
  readonly filled?: true;
  /** The move that brought it here. */
  readonly move?: string;
}

export async function readVolumeRecord(directory: string): Promise<VolumeRecord> {
  const value = await readJson(path.join(directory, 'volume.json'));
  return isRecord(value) && typeof value['driver'] === 'string' && isRecord(value['options']) ? (value as unknown as VolumeRecord) : { driver: 'local', options: {}, createdAt: 0 };
}

export async function writeVolumeRecord(directory: string, record: VolumeRecord, sync = false): Promise<void> {
  await writeWhole(path.join(directory, 'volume.json'), `${JSON.stringify(record)}\n`, { sync });
}
