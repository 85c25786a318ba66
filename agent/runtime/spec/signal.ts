/** Signal names and numbers, Linux's on x86, ARM and RISC-V. */
import { TsorchError } from '../../../model/errors.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import type { ImageConfig } from '../port.ts';

const names = (
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU ' +
  'XFSZ VTALRM PROF WINCH IO PWR SYS'
).split(' ');
const synonyms: Readonly<Record<string, number>> = { IOT: 6, CLD: 17, POLL: 29, UNUSED: 31 };
const realtimeFirst = 34;
const realtimeLast = 64;

export const SIGKILL = 9;
export const SIGTERM = 15;

/** `SIGTERM`, `term`, `15`, `SIGRTMIN+3`, `RTMAX-1` → the number. Throws `invalid`. */
export function parseSignal(text: string): number {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  const number = /^\d{1,2}$/.test(name) ? Number(name) : byName(name);
  if (number === undefined || number < 1 || number > realtimeLast) {
    throw new TsorchError('invalid', `${JSON.stringify(text)} is not a signal`, { hint: 'use a name such as SIGTERM or a number from 1 to 64' });
  }
  return number;
}

function byName(name: string): number | undefined {
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime) {
    const [, end, sign, offset = '0'] = realtime;
    const number = (end === 'MIN' ? realtimeFirst : realtimeLast) + (sign === '-' ? -1 : 1) * Number(offset);
    return number >= realtimeFirst ? number : undefined;
  }
  const at = names.indexOf(name);
  return at >= 0 ? at + 1 : synonyms[name];
}

/** What asks the container to stop: the stack file's, else the image's, else SIGTERM. Throws `invalid`. */
export function stopSignal(spec: Pick<ContainerSpec, 'stopSignal'>, image: Pick<ImageConfig, 'stopSignal'>): number {
  return parseSignal(spec.stopSignal ?? (image.stopSignal || 'SIGTERM'));
}
