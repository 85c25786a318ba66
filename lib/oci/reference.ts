/** Image references: what people write, and the one full form that the same image is stored under. */
import { TsorchError } from '../../model/errors.ts';

export interface ImageReference {
  readonly registry: string;
  /** With the `library/` that official images have there. */
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:<hex>` */
  readonly digest?: string;
}

export const defaultRegistry = 'docker.io';
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const registryPattern = /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

/** `redis`, `team/app:1.2`, `registry:5000/app@sha256:…`. Without tag and digest the tag is `latest`. Throws `invalid`. */
export function parseReference(text: string): ImageReference {
  const [name = '', digest, ...rest] = text.split('@');
  const colon = name.lastIndexOf(':');
  const tagged = colon > name.lastIndexOf('/');
  const path = tagged ? name.slice(0, colon) : name;
  const tag = tagged ? name.slice(colon + 1) : undefined;
  const slash = path.indexOf('/');
  const first = slash < 0 ? '' : path.slice(0, slash);
  // A host name has a dot or a port, or is this machine, or has capitals, which repositories have not.
  const hasRegistry = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const registry = hasRegistry ? (first === 'index.docker.io' ? defaultRegistry : first) : defaultRegistry;
  const bare = hasRegistry ? path.slice(slash + 1) : path;
  const repository = registry === defaultRegistry && !bare.includes('/') ? `library/${bare}` : bare;
  const fine =
    rest.length === 0 &&
    registryPattern.test(registry) &&
    repositoryPattern.test(repository) &&
    repository.length <= 255 &&
    (tag === undefined || tagPattern.test(tag)) &&
    (digest === undefined || digestPattern.test(digest));
  if (!fine) {
    throw new TsorchError('invalid', `${JSON.stringify(text)} is not an image reference`, { hint: 'the form is [registry/]name[:tag][@sha256:digest], the name in lower case' });
  }
  return {
    registry,
    repository,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: 'latest' } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The reference of what an image's name stood for: `redis:7` and a digest → `docker.io/library/redis:7@sha256:…`. One that has a digest keeps it. */
export function withDigest(text: string, digest: string | undefined): string {
  const full = normaliseReference(text);
  return digest === undefined || full.includes('@') || isDigest(full) ? full : `${full}@${digest}`;
}

/** What people know the image by: without a digest behind a tag, and without what the default registry needs not. */
export function readableName(text: string): string {
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  const tagged = at >= 0 && name.lastIndexOf(':') > name.lastIndexOf('/');
  return (tagged ? name : text).replace(/^docker\.io\/(?:library\/)?/, '');
}

/** The full form: `redis` → `docker.io/library/redis:latest`. A digest alone stays as it is. Throws `invalid`. */
export function normaliseReference(text: string): string {
  if (isDigest(text)) return text;
  const { registry, repository, tag, digest } = parseReference(text);
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
