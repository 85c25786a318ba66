/** What is kept on disk of a pod. Secrets are not: they live in memory, and come from a master again after a reboot. */
import type { Assignment } from '../../model/assignment.ts';
import { isCount, isRecord } from '../state.ts';
import type { AttemptEnd, ContainerLocal, PodLocal } from './step/types.ts';

export interface PodRecord {
  readonly version: 1;
  /** null for containers that were found without a record. */
  readonly assignment: Assignment | null;
  /** Positions in `assignment.files` whose content was left out. */
  readonly withheld: readonly number[];
  /** The leader does not list it any more. */
  readonly removed: boolean;
  /** null until the agent has looked what there is of it. */
  readonly local: PodLocal | null;
}

export function encodeRecord(record: PodRecord): string {
  if (!record.assignment) return JSON.stringify(record);
  const { registries: _secret, ...assignment } = record.assignment;
  const withheld = assignment.files.flatMap((file, i) => (file.kind === 'secret' ? [i] : []));
  const files = assignment.files.map((file) => (file.kind === 'secret' ? { ...file, content: '' } : file));
  return JSON.stringify({ ...record, withheld, assignment: { ...assignment, files } });
}

/**
 * null when it does not say what the pod is: then a master must. Where only what became of it is torn, `local` is null, and it is
 * made anew from what the runtime has.
 */
export function parseRecord(id: string, value: unknown): PodRecord | null {
  if (!isRecord(value) || value['version'] !== 1) return null;
  const { assignment, withheld, local } = value;
  if (assignment !== null && !isAssignment(id, assignment)) return null;
  if (!Array.isArray(withheld) || !withheld.every((index) => Number.isSafeInteger(index)) || typeof value['removed'] !== 'boolean') return null;
  return { ...(value as unknown as PodRecord), local: isLocal(local) ? local : null };
}

function isAssignment(id: string, value: unknown): value is Assignment {
  if (!isRecord(value) || !isRecord(value['pod']) || !isRecord(value['template']) || !Array.isArray(value['files'])) return false;
  const { pod, template } = value;
  const named = (list: unknown) => Array.isArray(list) && list.every((item) => isRecord(item) && typeof item['name'] === 'string' && typeof item['image'] === 'string');
  return (
    pod['id'] === id && typeof pod['desired'] === 'string' && named(template['containers']) && (template['initContainers'] === undefined || named(template['initContainers'])) &&
    isRecord(template['restart']) && typeof template['stopGraceMs'] === 'number'
  );
}

const phases: ReadonlySet<unknown> = new Set(['pending', 'assigned', 'preparing', 'starting', 'running', 'stopping', 'succeeded', 'failed', 'lost']);
const states: ReadonlySet<unknown> = new Set(['waiting', 'live', 'done']);

function isLocal(value: unknown): value is PodLocal {
  if (!isRecord(value) || !isRecord(value['containers'])) return false;
  const { stop } = value;
  return (
    phases.has(value['phase']) && typeof value['since'] === 'number' && typeof value['ready'] === 'boolean' && typeof value['bootId'] === 'string' && typeof value['released'] === 'boolean' &&
    (stop === null || (isRecord(stop) && typeof stop['failed'] === 'boolean' && typeof stop['message'] === 'string')) && Object.values(value['containers']).every(isContainer)
  );
}

function isContainer(value: unknown): value is ContainerLocal {
  return (
    isRecord(value) && isCount(value['attempt']) && states.has(value['state']) && typeof value['started'] === 'boolean' && isCount(value['failures']) &&
    Array.isArray(value['ended']) && value['ended'].every(isEnd)
  );
}

function isEnd(value: unknown): value is AttemptEnd {
  return isRecord(value) && isCount(value['attempt']) && typeof value['endedAt'] === 'number' && typeof value['message'] === 'string' && typeof value['failed'] === 'boolean';
}
