/**
 * Ranges of user and group ids for containers with a user namespace of their own. One per pod, so that nobody's files and
 * processes are anybody else's. They lie where systemd keeps room for containers, above what useradd gives to people
 * (SUB_UID_MAX of login.defs), and follow from the pod's id unless another pod has them.
 */
import { TsorchError } from '../../../model/errors.ts';

export const idsPerPod = 65_536;
const first = 2 ** 30;
const end = 1_879_048_192;
const ranges = (end - first) / idsPerPod;

/** The first id of the pod's range. `taken` are those of other pods. `exhausted` when there is no more. */
export function allocateIds(podId: string, taken: ReadonlySet<number>): number {
  const begin = hash(podId) % ranges;
  for (let i = 0; i < ranges; i++) {
    const start = first + ((begin + i) % ranges) * idsPerPod;
    if (!taken.has(start)) return start;
  }
  throw new TsorchError('exhausted', `all ${ranges} ranges of user ids for containers are in use on this host`);
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
