/** A limit on bytes per second that many streams share: each takes what it is about to send, and waits as long as it is told. */
export interface Throttle {
  /** Milliseconds to wait before these bytes are sent; they count as sent. `now` is a monotonic time. */
  take(bytes: number, now: number): number;
}

/** What may be sent at once after a silence, in seconds of the rate. */
const burst = 0.1;

/** `bytesPerSecond` above zero. */
export function createThrottle(bytesPerSecond: number): Throttle {
  /** When everything taken so far is sent. */
  let free = Number.NEGATIVE_INFINITY;
  return {
    take(bytes, now) {
      free = Math.max(free, now - burst * 1000);
      const wait = Math.max(0, free - now);
      free += (bytes / bytesPerSecond) * 1000;
      return wait;
    },
  };
}
