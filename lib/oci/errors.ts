/** What went wrong with a registry, as errors that say what, where and what to do. */
import { connectionTrouble } from '../connection-trouble.ts';
import { TsorchError } from '../../model/errors.ts';

/** No answer: by what the system or TLS says. */
export function connectionError(url: URL, error: unknown): TsorchError {
  if (error instanceof TsorchError) return error;
  const cause = error as NodeJS.ErrnoException;
  const code = cause.code ?? '';
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code)) {
    return new TsorchError('unauthenticated', `the certificate of ${url.host} is not trusted (${cause.message})`, {
      cause, hint: `put the CA that signed it into /etc/docker/certs.d/${url.host}/ca.crt, or name it in registries.yaml`,
    });
  }
  if (/^ERR_SSL_WRONG_VERSION|^EPROTO/.test(code) && /wrong version|packet length/i.test(cause.message)) {
    return new TsorchError('unsupported', `${url.host} does not speak TLS`, { cause, hint: 'if it is meant to be plain HTTP, say plain_http: true for it in registries.yaml' });
  }
  return new TsorchError('unavailable', `${url.host} cannot be reached: ${connectionTrouble(cause)}`, { cause });
}

export function stalled(url: URL, ms: number): TsorchError {
  return new TsorchError('timeout', `${url.host} sent nothing for ${ms / 1000} s`);
}

export interface Refusal {
  readonly url: URL;
  readonly status: number;
  /** What was asked for: `team/app:1`, `layer sha256:…`. */
  readonly what: string;
  readonly body: Buffer;
  readonly anonymous: boolean;
  readonly retryAfterMs: number | null;
}

/** An answer that is a no. */
export function refusal({ url, status, what, body, anonymous, retryAfterMs }: Refusal): TsorchError {
  const said = messageOf(body);
  const says = said === '' ? '' : `: ${said}`;
  const login = { hint: `docker login ${url.host}, and apply again` };
  switch (status) {
    case 401:
      return anonymous
        ? new TsorchError('unauthenticated', `${url.host} has no ${what} for everybody: it does not exist, or needs credentials${says}`, login)
        : new TsorchError('unauthenticated', `${url.host} refuses the credentials for ${what}${says}`, login);
    case 403:
      return new TsorchError('forbidden', `${url.host} denies ${what}${says}`, anonymous ? login : {});
    case 404:
      return new TsorchError('not-found', `${url.host} has no ${what}`);
    case 429:
      return new TsorchError('unavailable', `${url.host} has had too many requests${retryAfterMs === null ? '' : `, it says to come back in ${Math.ceil(retryAfterMs / 1000)} s`}${says}`, anonymous ? { hint: 'with credentials its limit may be higher: docker login, and apply again' } : {});
    default:
      return new TsorchError(status >= 500 ? 'unavailable' : 'unsupported', `${url.host} answers ${status} to ${what}${says}`);
  }
}

/** Of the standard error body, in one line; empty when it is none. */
function messageOf(body: Buffer): string {
  try {
    const value = JSON.parse(body.toString('utf8')) as { errors?: readonly { message?: unknown }[]; details?: unknown; error_description?: unknown } | null;
    const said = value?.errors?.[0]?.message ?? value?.error_description ?? value?.details;
    return typeof said === 'string' ? said.replaceAll(/\s+/g, ' ').trim().slice(0, 200) : '';
  } catch {
    return '';
  }
}
