/** The highest leader epoch this agent has obeyed. On disk before it is obeyed: no restart may bring a deposed leader back. */
import path from 'node:path';
import { isRecord, readJson, writeWhole } from './state.ts';

export class EpochFile {
  readonly #file: string;
  #epoch: number;

  private constructor(file: string, epoch: number) {
    this.#file = file;
    this.#epoch = epoch;
  }

  static async open(stateDir: string): Promise<EpochFile> {
    const file = path.join(stateDir, 'epoch.json');
    const value = await readJson(file);
    return new EpochFile(file, isRecord(value) && Number.isSafeInteger(value['epoch']) ? Number(value['epoch']) : 0);
  }

  get(): number {
    return this.#epoch;
  }

  async raise(epoch: number): Promise<void> {
    if (epoch <= this.#epoch) return;
    await writeWhole(this.#file, JSON.stringify({ epoch }), { sync: true });
    this.#epoch = epoch;
  }
}
