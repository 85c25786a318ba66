/** Who one is to a registry. */

/** As a Docker config file has them: a password, or an identity token that a registry's token service takes in its place. */
export type RegistryCredentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string };
