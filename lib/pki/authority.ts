/**
 * A certificate authority: EC P-256, certificates of at most 90 days. PEM in, PEM out; time is an argument. The library that signs is
 * loaded at the first signature: a master that was only restarted has its certificates and needs none.
 */
import type { AuthorityPem, IssueOptions } from './issue.ts';
import type { Issuer } from './issuer.ts';

export { MalformedRequestError, maxLifeMs, type AuthorityPem, type IssueOptions, type Subject } from './issue.ts';

export async function createAuthority(name: string, now: number): Promise<AuthorityPem> {
  return (await import('./issuer.ts')).createAuthority(name, now);
}

export class Authority {
  readonly certificate: string;
  readonly #source: AuthorityPem;
  #issuer: Promise<Issuer> | undefined;

  private constructor(source: AuthorityPem) {
    this.certificate = source.certificate;
    this.#source = source;
  }

  static async load(source: AuthorityPem): Promise<Authority> {
    return new Authority(source);
  }

  /**
   * A certificate over the CSR's public key; whatever else the CSR says is not looked at. Throws MalformedRequestError when it
   * cannot be read, its key is not EC P-256, or it was not signed by that key.
   */
  async issueFor(csrPem: string, options: IssueOptions): Promise<string> {
    return (await this.#open()).issueFor(csrPem, options);
  }

  /** A new key and its certificate. */
  async issue(options: IssueOptions): Promise<{ readonly certificate: string; readonly privateKey: string }> {
    return (await this.#open()).issue(options);
  }

  #open(): Promise<Issuer> {
    this.#issuer ??= import('./issuer.ts').then(({ Issuer: Loaded }) => Loaded.load(this.#source));
    return this.#issuer;
  }
}
