/**
 * What a host knows of its own manifests besides its pods' records: `<state>/manifests.json`. With it a start without a source (a URL
 * that does not answer) has names, addresses and ports as before. Secrets are left out, as in pods' records.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { FileObjectSpec, StackSpec } from '../../model/spec.ts';
import { isRecord, readJson, writeWhole } from '../state.ts';
import type { Given, ManifestStack } from './plan/types.ts';

export interface ManifestState {
  /** Random, made once; see ManifestHost. */
  readonly hostId: string;
  readonly stacks: readonly ManifestStack[];
  readonly given: Given;
  /** Image archives that were loaded: by path, what the file was and what it held. */
  readonly archives: Readonly<Record<string, { readonly file: string; readonly references: readonly string[] }>>;
}

const fresh: Omit<ManifestState, 'hostId'> = { stacks: [], given: { vips: {}, ports: {} }, archives: {} };

export class ManifestStateFile {
  readonly #file: string;
  #state: ManifestState;
  #written: string;
  /** Whether there was one when it was opened. */
  readonly existed: boolean;

  private constructor(file: string, state: ManifestState, known: unknown) {
    this.#file = file;
    this.#state = state;
    this.#written = JSON.stringify(known);
    this.existed = known !== undefined;
  }

  static async open(stateDir: string): Promise<ManifestStateFile> {
    const file = path.join(stateDir, 'manifests.json');
    const known = await readJson(file);
    const state: ManifestState = isRecord(known) && typeof known['hostId'] === 'string'
      ? { ...fresh, ...(known as Partial<ManifestState>), hostId: known['hostId'] }
      : { ...fresh, hostId: randomBytes(8).toString('hex') };
    return new ManifestStateFile(file, state, known);
  }

  get value(): ManifestState {
    return this.#state;
  }

  /** On disk before anything is done that depends on it. Writes only what is new. */
  async change(change: Partial<Omit<ManifestState, 'hostId'>>): Promise<void> {
    const next = { ...this.#state, ...change };
    const text = JSON.stringify({ ...next, stacks: next.stacks.map(withoutSecrets) });
    if (text !== this.#written) await writeWhole(this.#file, text);
    this.#written = text;
    this.#state = next;
  }
}

function withoutSecrets(stack: ManifestStack): ManifestStack {
  const without = ({ name, external, digest, labels }: FileObjectSpec): FileObjectSpec => ({ name, external, labels, ...(digest === undefined ? {} : { digest }) });
  const secrets = Object.fromEntries(Object.entries(stack.spec.secrets).map(([key, object]) => [key, without(object)]));
  const spec: StackSpec = { ...stack.spec, secrets };
  return { ...stack, spec };
}
