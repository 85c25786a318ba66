/** Credentials for registries, on their way from who applies a stack to the hosts that pull its images. Nobody lists them. */

/** As a Docker config file has them: a password, or an identity token that the registry's token service takes in its place. */
export type RegistryAuth =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string };

/** What the master keeps: a stack's credentials for one registry. Key: `<stack>/<host[:port]>` with the colon as it is. */
export interface RegistryRecord {
  readonly stack: string;
  /** `host[:port]`, as in the names of images. */
  readonly registry: string;
  readonly auth: RegistryAuth;
}
