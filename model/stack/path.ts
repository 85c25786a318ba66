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
