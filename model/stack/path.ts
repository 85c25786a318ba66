/** Where in the document a value is. Linked, so that going one step down costs one small object. */
export interface Path {
  readonly parent: Path | null;
  readonly key: string | number;
}

export function step(parent: Path | null, key: string | number): Path {
  return { parent, key };
}

/** `services.web.ports[1]`; keys that would read badly are quoted. */
export function formatPath(path: Path | null): string {
  const keys: (string | number)[] = [];
  for (let at = path; at; at = at.parent) keys.push(at.key);
  let text = '';
  for (const key of keys.reverse()) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[\w\-/@:]+$/.test(key)) text += text === '' ? key : `.${key}`;
    else text += `[${JSON.stringify(key)}]`;
  }
  return text;
}

/** The last step, for messages that must make sense without the whole path: `command`, `ports[1]`; `the file` at the top. */
export function nameOf(path: Path | null): string {
  if (!path) return 'the file';
  if (typeof path.key === 'string') return /^[\w\-/@:.]{1,60}$/.test(path.key) ? path.key : JSON.stringify(path.key.length > 60 ? `${path.key.slice(0, 57)}…` : path.key);
  return `${path.parent ? nameOf(path.parent) : ''}[${path.key}]`;
}
