/** The keys by which one leaves what runs on a terminal: `ctrl-p,ctrl-q`, written as docker does. */
import { UsageError } from '../exit.ts';

export const defaultDetachKeys = 'ctrl-p,ctrl-q';

const controls: Readonly<Record<string, number>> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/** `ctrl-x`, or a character as it is, separated by commas. Empty: no keys at all. */
export function parseDetachKeys(text: string): Uint8Array {
  const bytes = text === '' ? [] : text.split(',').flatMap((key) => keyOf(key) ?? bad(text));
  return Uint8Array.from(bytes);
}

function keyOf(key: string): number[] | undefined {
  const control = /^ctrl-(.)$/i.exec(key)?.[1]?.toLowerCase();
  if (control !== undefined) {
    const code = /[a-z]/.test(control) ? control.charCodeAt(0) - 96 : controls[control];
    return code === undefined ? undefined : [code];
  }
  return /^.$/u.test(key) ? [...Buffer.from(key)] : undefined;
}

function bad(text: string): never {
  throw new UsageError(`--detach-keys ${text}: write keys such as ctrl-p,ctrl-q or ctrl-x,d`);
}

/** Looks for the keys in what is typed. A beginning of them is held back until it is known what it becomes. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  push(typed: Uint8Array): { readonly forward: Uint8Array; readonly detached: boolean } {
    if (this.#keys.length === 0) return { forward: typed, detached: false };
    const forward: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { forward: Uint8Array.from(forward), detached: true };
        continue;
      }
      forward.push(...this.#keys.subarray(0, this.#matched));
      // It may begin anew with this very key.
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) forward.push(byte);
      else if (this.#matched === this.#keys.length) return { forward: Uint8Array.from(forward), detached: true };
    }
    return { forward: Uint8Array.from(forward), detached: false };
  }
}
