/** The highest leader epoch this agent has obeyed. On disk before it is obeyed: no restart may bring a deposed leader back. */
import path from 'node:path';
import { isDiskFull, isRecord, readJson, writeWhole } from './state.ts';

export class EpochFile {
  readonly #file: string;
  readonly #makeRoom: () => void;
  #epoch: number;

  private constructor(file: string, epoch: number, makeRoom: () => void) {
    this.#file = file;
    this.#makeRoom = makeRoom;
    this.#epoch = epoch;
  }

  /** `makeRoom` is called when the disk is full. */
  static async open(stateDir: string, makeRoom: () => void = () => {}): Promise<EpochFile> {
    const file = path.join(stateDir, 'epoch.json');
    const value = await readJson(file);
    return new EpochFile(file, isRecord(value) && Number.isSafeInteger(value['epoch']) ? Number(value['epoch']) : 0, makeRoom);
  }

  get(): number {
    return this.#epoch;
  }

  async raise(epoch: number): Promise<void> {
    if (epoch <= this.#epoch) return;
    const write = () => writeWhole(this.#file, JSON.stringify({ epoch }), { sync: true });
    await write().catch((error: unknown) => {
      // A host whose disk is full obeys nobody new, and so can be told of nothing to remove.
      if (!isDiskFull(error)) throw error;
      this.#makeRoom();
      return write();
    });
    this.#epoch = epoch;
  }
}
