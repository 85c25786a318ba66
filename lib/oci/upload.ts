/** Pushing by the OCI distribution API: blobs, mounted from a neighbouring repository where that is possible, then the manifest. */
import { TsorchError } from '../../model/errors.ts';
import { drain, type Endpoint } from './endpoint.ts';
import type { HttpResponse } from './http.ts';
import type { Descriptor } from './manifest.ts';
import { isTransient } from './retry.ts';

export interface BlobUpload {
  readonly descriptor: Descriptor;
  /** Its bytes, from the first on; asked for again when an upload breaks off. */
  readonly open: () => AsyncIterable<Uint8Array>;
  /** Another repository of the registry that may have it. */
  readonly from?: string;
}

const attempts = 3;

/** The scopes that a push needs. */
export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

/** What became of the blob: it was there, was mounted from the other repository, or was sent. */
export async function pushBlob(endpoint: Endpoint, name: string, upload: BlobUpload, signal: AbortSignal): Promise<'present' | 'mounted' | 'sent'> {
  const { descriptor, from } = upload;
  const scope = pushScope(endpoint.repository(name));
  if (await endpoint.has(name, descriptor.digest, scope, signal)) return 'present';
  for (let attempt = 1; ; attempt++) {
    try {
      const query: Record<string, string> = from === undefined ? {} : { mount: descriptor.digest, from: endpoint.repository(from) };
      const what = `an upload to ${name}`;
      const begun = await endpoint.exchange({ method: 'POST', path: `${endpoint.repository(name)}/blobs/uploads/`, query, scope, headers: { 'content-length': 0 }, what, accept: [201, 202], signal });
      await drain(begun);
      if (begun.status === 201) return 'mounted';
      const body = { size: descriptor.size, data: upload.open() };
      const path = locationOf(begun);
      await drain(await endpoint.exchange({ method: 'PUT', path, query: { digest: descriptor.digest }, scope, headers: { 'content-type': 'application/octet-stream' }, body, what, accept: [201, 204], signal }));
      return 'sent';
    } catch (error) {
      if (attempt === attempts || !isTransient(error)) throw error;
    }
  }
}

/** `reference` is a tag, or the manifest's digest. */
export async function pushManifest(endpoint: Endpoint, name: string, reference: string, manifest: { readonly mediaType: string; readonly data: Buffer }, signal: AbortSignal): Promise<void> {
  const repository = endpoint.repository(name);
  const response = await endpoint.exchange({
    method: 'PUT', path: `${repository}/manifests/${reference}`, scope: pushScope(repository), headers: { 'content-type': manifest.mediaType }, body: manifest.data,
    what: `the manifest of ${name}:${reference}`, accept: [200, 201, 202], signal,
  });
  await drain(response);
}

function locationOf(response: HttpResponse): URL {
  const { location } = response.headers;
  if (location === undefined) throw new TsorchError('unsupported', `${response.url.host} begins an upload without saying where it goes on`);
  return new URL(location, response.url);
}
