/** What is kept on disk of a pod. Secrets are not: they live in memory, and come from a master again after a reboot. */
import type { Assignment } from '../../model/assignment.ts';
import { isRecord } from '../state.ts';
import type { PodLocal } from './step/types.ts';

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

/** null when it is not a whole record of this pod. */
export function parseRecord(id: string, value: unknown): PodRecord | null {
  if (!isRecord(value) || value['version'] !== 1) return null;
  const { assignment, local } = value;
  if (assignment !== null && (!isRecord(assignment) || !isRecord(assignment['pod']) || assignment['pod']['id'] !== id || !isRecord(assignment['template']))) return null;
  if (local !== null && (!isRecord(local) || !isRecord(local['containers']) || typeof local['phase'] !== 'string')) return null;
  return value as unknown as PodRecord;
}
