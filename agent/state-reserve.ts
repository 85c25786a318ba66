/**
 * A few megabytes of the disk that nobody uses, for the day it is full: to remove even one container, containerd and the agent have to write,
 * so that a host whose containers have filled its disk could not be rid of them. Given away when a removal fails for lack of room, and taken
 * back when there is room for many times as much.
 */
import fs from 'node:fs';
import path from 'node:path';
import { allocate } from '../lib/linux/fallocate.ts';
import { hasErrno } from '../lib/linux/libc.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { diskSpace } from './images/collector.ts';

export interface DiskReserveOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** containerd's databases grow by powers of two up to a gigabyte; what is written of them for one removal is a few pages. */
const bytes = 16 << 20;
/** Of so many times as much free, a reserve may be taken. */
const plenty = 4;
const lookMs = 30_000;

export class DiskReserve {
  readonly #options: DiskReserveOptions;
  #there = false;

  private constructor(options: DiskReserveOptions) {
    this.#options = options;
  }

  static async open(options: DiskReserveOptions): Promise<DiskReserve> {
    const reserve = new DiskReserve(options);
    reserve.#there = (fs.statSync(options.file, { throwIfNoEntry: false })?.size ?? 0) >= bytes;
    await reserve.#take();
    void reserve.#keep();
    return reserve;
  }

  /** Safe to repeat. */
  give(): void {
    if (!this.#there) return;
    this.#there = false;
    fs.rmSync(this.#options.file, { force: true });
    this.#options.log.warn('the disk is full: what was kept in reserve is given away, so that containers can be removed', { bytes });
  }

  async #keep(): Promise<void> {
    const { clock, signal } = this.#options;
    try {
      for (;;) {
        await clock.sleep(lookMs, signal);
        await this.#take();
      }
    } catch {
      // The agent ends; the reserve stays.
    }
  }

  async #take(): Promise<void> {
    const { file, log } = this.#options;
    if (this.#there) return;
    try {
      const { available } = await diskSpace(path.dirname(file));
      if (available < plenty * bytes) return;
      const fd = fs.openSync(file, 'w', 0o600);
      try {
        allocate(fd, bytes);
      } catch (error) {
        if (!hasErrno(error, 'EOPNOTSUPP', 'ENOSYS')) throw error;
        fs.writeSync(fd, Buffer.alloc(bytes));
      } finally {
        fs.closeSync(fd);
      }
      this.#there = true;
    } catch (error) {
      fs.rmSync(file, { force: true });
      log.warn('nothing of the disk could be kept in reserve', { error });
    }
  }
}
