/** What to write into `Authorization` for one registry: nothing, a password, or tokens that are fetched and kept as long as they are good. */
import type { Clock } from '../clock.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Challenge } from './challenge.ts';
import { basicAuthorization, type RegistryCredentials } from './credentials.ts';
import { refusal } from './errors.ts';
import { type HttpClient, type HttpResponse, readBody } from './http.ts';
import { isTransientStatus } from './retry.ts';

export interface AuthorizerOptions {
  readonly http: HttpClient;
  readonly credentials: RegistryCredentials | null;
  readonly clock: Clock;
}

interface Token {
  readonly value: string;
  /** By the monotonic clock. */
  readonly until: number;
}

/** Tokens say how long they are good; those that do not are good for a minute. */
const defaultLifeMs = 60_000;
/** They are not used to the last moment: the request takes time too. */
const marginMs = 5000;
const mostAnswer = 1 << 20;

export class Authorizer {
  readonly #options: AuthorizerOptions;
  #challenge: Challenge | null = null;
  readonly #tokens = new Map<string, Promise<Token>>();

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  get anonymous(): boolean {
    return this.#options.credentials === null;
  }

  /** For the next request; undefined while the registry has not asked for any. `scope`: `repository:team/app:pull`. */
  async header(scope: string, signal: AbortSignal): Promise<string | undefined> {
    const { credentials, clock } = this.#options;
    const challenge = this.#challenge;
    if (challenge === null) return undefined;
    if (challenge.kind === 'basic') return credentials?.kind === 'basic' ? basicAuthorization(credentials.username, credentials.password) : undefined;
    for (;;) {
      const known = this.#tokens.get(scope);
      if (known) {
        const token = await known;
        if (clock.monotonic() < token.until) return `Bearer ${token.value}`;
        if (this.#tokens.get(scope) === known) this.#tokens.delete(scope);
        continue;
      }
      const fetched = this.#fetch(challenge, scope, signal);
      this.#tokens.set(scope, fetched);
      fetched.catch(() => {
        if (this.#tokens.get(scope) === fetched) this.#tokens.delete(scope);
      });
      return `Bearer ${(await fetched).value}`;
    }
  }

  /** Takes in a 401. False when what was sent is all there is to send. `sent`: the header that was refused. */
  refused(challenge: Challenge | null, scope: string, sent: string | undefined): boolean {
    if (challenge === null) return false;
    this.#challenge = challenge;
    if (challenge.kind === 'basic') return sent === undefined && this.#options.credentials?.kind === 'basic';
    // A token may have been taken back before its time.
    this.#tokens.delete(scope);
    return true;
  }

  async #fetch(challenge: Extract<Challenge, { kind: 'bearer' }>, scope: string, signal: AbortSignal): Promise<Token> {
    const { http, credentials, clock } = this.#options;
    const realm = realmOf(challenge.realm);
    const asked = clock.monotonic();
    const identity = credentials?.kind === 'identity' ? credentials : null;
    const query = new URLSearchParams({ ...(challenge.service === '' ? {} : { service: challenge.service }), scope });
    let response: HttpResponse;
    if (identity) {
      const body = Buffer.from(new URLSearchParams({ grant_type: 'refresh_token', refresh_token: identity.token, client_id: 'tsorch', ...Object.fromEntries(query) }).toString());
      response = await http.request({ method: 'POST', url: realm, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body, signal });
    } else {
      for (const [key, value] of query) realm.searchParams.append(key, value);
      if (credentials?.kind === 'basic') realm.searchParams.set('account', credentials.username);
      const authorization = credentials?.kind === 'basic' ? { authorization: basicAuthorization(credentials.username, credentials.password) } : {};
      response = await http.request({ method: 'GET', url: realm, headers: authorization, signal });
    }
    const { data } = await readBody(response.body, mostAnswer);
    if (response.status !== 200) {
      const error = refusal({ url: realm, status: response.status, what: `token for ${scope}`, body: data, anonymous: this.anonymous, retryAfterMs: null });
      // Token services say 400 to what they do not know, too.
      throw isTransientStatus(response.status) || response.status === 403 ? error : new TsorchError('unauthenticated', error.message, error.hint === undefined ? {} : { hint: error.hint });
    }
    return parseToken(data, realm, asked);
  }
}

function realmOf(text: string): URL {
  try {
    const url = new URL(text);
    if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  } catch {
    // Told below.
  }
  throw new TsorchError('unsupported', `the registry sends to ${JSON.stringify(text.slice(0, 100))} for a token, which is no address`);
}

function parseToken(data: Buffer, realm: URL, asked: number): Token {
  let answer: { readonly token?: unknown; readonly access_token?: unknown; readonly expires_in?: unknown } | null;
  try {
    answer = JSON.parse(data.toString('utf8')) as typeof answer;
  } catch (cause) {
    throw new TsorchError('unsupported', `${realm.host} answers with something that is no token`, { cause });
  }
  const value = answer?.token ?? answer?.access_token;
  if (typeof value !== 'string' || value === '' || /[^\x21-\x7e]/.test(value)) throw new TsorchError('unsupported', `${realm.host} answers without a token`);
  const seconds = answer?.expires_in;
  const life = typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : defaultLifeMs;
  return { value, until: asked + life - Math.min(marginMs, life / 2) };
}
