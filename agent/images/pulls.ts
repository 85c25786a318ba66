/**
 * The pulls of this host: one per image, however many pods wait for it; tried again with growing patience; given up when nobody waits any
 * more. Pods ask for their image again and again and are told how it is; they are poked when that has changed.
 */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { RegistryCredentials } from '../../lib/oci/credentials.ts';
import { normaliseReference, readableName } from '../../lib/oci/reference.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import { Limit } from '../../lib/limit.ts';
import type { ImageHandle, Images, PullProgress } from '../runtime/port.ts';
import { describePull } from './progress.ts';

export interface PullsOptions {
  readonly images: Pick<Images, 'get' | 'pull'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
  /** The pod's image has come nearer, or is here, or cannot be had now. */
  readonly changed: (podId: string) => void;
}

export interface ImageWish {
  readonly podId: string;
  /** With the digest it is pinned to, if any. */
  readonly reference: string;
  readonly policy: ContainerSpec['pullPolicy'];
  readonly credentials: RegistryCredentials | null;
}

export type WishAnswer =
  | { readonly kind: 'here'; readonly image: ImageHandle }
  /** One line for people: how far it is, or why it cannot be had and when it is tried again. */
  | { readonly kind: 'waiting'; readonly message: string };

interface Pull {
  readonly reference: string;
  readonly waiters: Set<string>;
  readonly abort: AbortController;
  readonly credentials: string;
  progress: PullProgress | 'queued' | 'asking';
  failure: { readonly message: string; readonly retryAt: number } | null;
}

/** After a failure, milliseconds: the first wait, and the longest. */
const backoff = { first: 5000, most: 300_000 };
/** Images pulled at a time. */
const width = 3;
/** Waiters hear of progress this often. */
const tellMs = 500;

export class Pulls {
  readonly #options: PullsOptions;
  readonly #limit = new Limit(width);
  /** By reference. */
  readonly #pulls = new Map<string, Pull>();
  /** Failures in a row, by reference; they outlast the pull that nobody waited for any more. */
  readonly #failures = new Map<string, number>();
  /** Images that were pulled for a pod that always wants that, by pod. */
  readonly #pulled = new Map<string, Set<string>>();

  constructor(options: PullsOptions) {
    this.#options = options;
  }

  /** `not-found` where the image is not here and may not be pulled. Other errors are this host's own. */
  async want(wish: ImageWish): Promise<WishAnswer> {
    const { podId, reference, policy } = wish;
    // What is pinned cannot have changed since; and a container that begins once more does so with the pod's image.
    const again = policy === 'always' && !reference.includes('@') && this.#pulled.get(podId)?.has(reference) !== true;
    if (!again) {
      try {
        const image = await this.#options.images.get(reference);
        this.#noLonger(podId, reference);
        return { kind: 'here', image };
      } catch (error) {
        if (!isCode(error, 'not-found')) throw error;
        if (policy === 'never') throw new TsorchError('not-found', `image ${readableName(reference)} is not on this node, and its pull_policy is never`, { cause: error, hint: 'load it with `tsorch image load`' });
      }
    }
    const pull = this.#join(wish);
    return { kind: 'waiting', message: this.#describe(pull) };
  }

  /** The pod waits for nothing any more. */
  leave(podId: string): void {
    this.#pulled.delete(podId);
    for (const reference of this.#pulls.keys()) this.#noLonger(podId, reference);
  }

  /** Another node has what was not to be had, under these names: nobody needs to wait for the next attempt. */
  found(names: ReadonlySet<string>): void {
    for (const pull of this.#pulls.values()) {
      if (!pull.failure || !names.has(normaliseReference(pull.reference).split('@')[0] ?? '')) continue;
      this.#failures.delete(pull.reference);
      pull.failure = { ...pull.failure, retryAt: this.#options.clock.monotonic() };
      this.#tell(pull);
    }
  }

  /** References of images that are under way. */
  get underWay(): readonly string[] {
    return [...this.#pulls.keys()];
  }

  #noLonger(podId: string, reference: string): void {
    const pull = this.#pulls.get(reference);
    if (!pull?.waiters.delete(podId) || pull.waiters.size > 0) return;
    this.#pulls.delete(reference);
    pull.abort.abort(new TsorchError('aborted', 'nobody waits for the image any more'));
  }

  #join(wish: ImageWish): Pull {
    const { podId, reference, credentials } = wish;
    const key = JSON.stringify(credentials);
    const known = this.#pulls.get(reference);
    const over = known?.failure && (known.failure.retryAt <= this.#options.clock.monotonic() || known.credentials !== key);
    if (known && !over) {
      known.waiters.add(podId);
      return known;
    }
    // With other credentials the story may be another.
    if (known?.failure && known.credentials !== key) this.#failures.delete(reference);
    const pull: Pull = { reference, waiters: new Set([...(known?.waiters ?? []), podId]), abort: new AbortController(), credentials: key, progress: 'queued', failure: null };
    known?.abort.abort();
    this.#pulls.set(reference, pull);
    void this.#run(pull, wish);
    return pull;
  }

  async #run(pull: Pull, { credentials, policy }: Pick<ImageWish, 'credentials' | 'policy'>): Promise<void> {
    const { images, signal, log, clock } = this.#options;
    const either = AbortSignal.any([signal, pull.abort.signal]);
    let told = clock.monotonic();
    try {
      await this.#limit.run(async () => {
        either.throwIfAborted();
        pull.progress = 'asking';
        await images.pull(pull.reference, {
          credentials, fresh: policy === 'always', signal: either,
          progress: (progress) => {
            const before = pull.progress;
            pull.progress = progress;
            const first = typeof before === 'string' || before.kind !== progress.kind;
            if (!first && clock.monotonic() - told < tellMs) return;
            told = clock.monotonic();
            this.#tell(pull);
          },
        });
      });
      this.#failures.delete(pull.reference);
      for (const pod of pull.waiters) this.#pulled.set(pod, (this.#pulled.get(pod) ?? new Set()).add(pull.reference));
      if (this.#pulls.get(pull.reference) === pull) this.#pulls.delete(pull.reference);
      this.#tell(pull);
    } catch (error) {
      if (either.aborted) return;
      log.warn('an image cannot be pulled', { image: readableName(pull.reference), error: describeError(error) });
      await this.#failed(pull, error, either);
    }
  }

  async #failed(pull: Pull, error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const failures = (this.#failures.get(pull.reference) ?? 0) + 1;
    this.#failures.set(pull.reference, failures);
    const wait = Math.min(backoff.first * 2 ** Math.min(failures - 1, 20), backoff.most) * (0.8 + random() * 0.4);
    pull.failure = { message: describeError(error), retryAt: clock.monotonic() + wait };
    this.#tell(pull);
    await clock.sleep(wait, signal).then(() => this.#tell(pull), () => {});
  }

  #tell(pull: Pull): void {
    for (const pod of pull.waiters) this.#options.changed(pod);
  }

  #describe({ reference, progress, failure }: Pull): string {
    const name = readableName(reference);
    if (failure) {
      const seconds = Math.ceil((failure.retryAt - this.#options.clock.monotonic()) / 1000);
      return `cannot pull ${name}: ${failure.message}; trying again in ${seconds} s`;
    }
    if (progress === 'queued') return `waiting to pull ${name}`;
    return progress === 'asking' ? `pulling ${name}` : describePull(name, progress);
  }
}
