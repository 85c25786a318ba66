/** The disk that images are on: what is free there, and whether more may come. Whoever keeps it in order joins later. */
import type { DiskSpace } from './collect.ts';
import { diskSpace, type ImageCollector } from './collector.ts';

export class DiskRoom {
  readonly #directory: string;
  #keeper: Pick<ImageCollector, 'admit'> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  disk(): Promise<DiskSpace> {
    return diskSpace(this.#directory);
  }

  keptBy(keeper: Pick<ImageCollector, 'admit'>): void {
    this.#keeper = keeper;
  }

  /** Throws `exhausted` when there is no room for so many bytes more. */
  async admit(bytes: number): Promise<void> {
    await this.#keeper?.admit(bytes);
  }
}
