/** Image references, checked as far as a typing error can be told from a name. */

/** What is wrong with the reference, or null. */
export function imageProblem(reference: string): string | null {
  if (reference === '') return 'the image is empty';
  if (reference.length > 512) return 'the image\'s name is too long';
  const strange = /[^\w.\-/:@+]/.exec(reference);
  if (strange) return `${JSON.stringify(strange[0])} is not allowed in an image's name`;
  const [name = '', digest] = reference.split('@', 2);
  if (digest !== undefined && !/^[a-z0-9+._-]+:[0-9a-f]{32,}$/.test(digest)) return `${JSON.stringify(digest)} is no digest`;
  const slash = name.lastIndexOf('/');
  const colon = name.indexOf(':', slash + 1);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  if (tag !== undefined && !/^\w[\w.-]{0,127}$/.test(tag)) return tag === '' ? 'the tag after the colon is missing' : `${JSON.stringify(tag)} is no tag`;
  const parts = (colon < 0 ? name : name.slice(0, colon)).split('/');
  const host = parts.length > 1 && /[.:]|^localhost$/.test(parts[0] ?? '') ? parts.shift() : undefined;
  if (host !== undefined && !/^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?$/.test(host)) return `${JSON.stringify(host)} is no registry's address`;
  const bad = parts.find((part) => !/^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/.test(part));
  if (bad === undefined) return null;
  return /[A-Z]/.test(bad) ? `${JSON.stringify(bad)} must be in small letters` : bad === '' ? 'there is nothing between two slashes' : `${JSON.stringify(bad)} is no image's name`;
}
