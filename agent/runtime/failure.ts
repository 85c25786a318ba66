/** containerd passes failures of the OCI runtime on as text alone: here they become errors that callers can act on. */
import { type ErrorCode, TsorchError } from '../../model/errors.ts';

interface Pattern {
  readonly test: RegExp;
  readonly code: ErrorCode;
  readonly hint?: string;
}

const patterns: readonly Pattern[] = [
  { test: /no space left on device|disk quota exceeded/i, code: 'exhausted', hint: 'free disk space on the host' },
  { test: /cannot allocate memory|resource temporarily unavailable/i, code: 'exhausted', hint: 'the host is out of memory or processes, or the memory limit is too small to start at all' },
  { test: /executable file .* not found|executable file not found|exec: .*no such file or directory|cannot find .* in \$PATH/is, code: 'invalid', hint: 'check `command:` and `entrypoint:` against what the image holds' },
  { test: /exec format error/i, code: 'invalid', hint: 'the image is for another processor architecture' },
  { test: /permission denied/i, code: 'invalid', hint: 'the file is not executable for the user the container runs as, or a limit cannot be raised on this host' },
  { test: /is a directory|not a directory|chdir|cwd|invalid argument|unknown capability|no such device/i, code: 'invalid' },
  { test: /parent snapshot .* does not exist|snapshot .*: not found/i, code: 'not-found', hint: 'the image is not (or no longer) on this host: pull or load it again' },
];

/** Says it in the runtime's own words without the prefixes around them. Other errors come back as they are. */
export function runtimeFailure(error: unknown, what: string): unknown {
  if (!(error instanceof TsorchError) || error.code !== 'internal') return error;
  const text = error.message
    .replace(/^containerd [\w/]+: /, '')
    .replace(/^failed to create shim task: /, '')
    .replace(/^OCI runtime \w+ failed: /, '')
    .replace(/: unknown$/, '');
  const found = patterns.find((pattern) => pattern.test.test(text));
  return new TsorchError(found?.code ?? 'internal', `${what}: ${text}`, { cause: error, ...(found?.hint === undefined ? {} : { hint: found.hint }) });
}
