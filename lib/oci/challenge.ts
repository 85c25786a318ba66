/** `WWW-Authenticate` as registries send it. Pure. */

export type Challenge =
  | { readonly kind: 'basic'; readonly realm: string }
  /** A token is to be had at `realm`. */
  | { readonly kind: 'bearer'; readonly realm: string; readonly service: string; readonly scope: string; readonly error: string };

/** The best of the challenges: a token before a password. null when there is none that can be met. */
export function parseChallenge(header: string | undefined): Challenge | null {
  let found: Challenge | null = null;
  for (const { scheme, parameters } of challenges(header ?? '')) {
    const get = (name: string) => parameters.get(name) ?? '';
    if (scheme === 'bearer' && get('realm') !== '') return { kind: 'bearer', realm: get('realm'), service: get('service'), scope: get('scope'), error: get('error') };
    if (scheme === 'basic') found ??= { kind: 'basic', realm: get('realm') };
  }
  return found;
}

function challenges(text: string): readonly { readonly scheme: string; readonly parameters: Map<string, string> }[] {
  const all: { scheme: string; parameters: Map<string, string> }[] = [];
  const token = /\s*,?\s*([!#$%&'*+.^`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/y;
  for (;;) {
    const match = token.exec(text);
    if (!match) return all;
    const [whole, name = '', quoted, bare] = match;
    if (quoted === undefined && bare === undefined) all.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else all.at(-1)?.parameters.set(name.toLowerCase(), quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1'));
    if (whole === '') return all;
  }
}
