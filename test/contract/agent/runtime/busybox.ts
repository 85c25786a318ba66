/** A small image made on the spot from this machine's static busybox, as archives of both kinds. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

export interface BuiltImage {
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
}

interface TarEntry {
  readonly name: string;
  readonly mode?: number;
  readonly data?: Buffer | string;
  readonly link?: string;
  readonly directory?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  /** A name of a file that is there already. */
  readonly hardLink?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

export function digestOf(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

export async function tar(entries: readonly TarEntry[]): Promise<Buffer> {
  const stream = pack();
  for (const { name, mode, data, link, directory, uid = 0, gid = 0, hardLink, xattrs = {} } of entries) {
    const pax = Object.fromEntries(Object.entries(xattrs).map(([key, value]) => [`SCHILY.xattr.${key}`, value]));
    const base = { name, mtime: new Date(0), mode: mode ?? (directory ? 0o755 : 0o644), uid, gid, ...(Object.keys(xattrs).length === 0 ? {} : { pax }) };
    if (hardLink !== undefined) stream.entry({ ...base, type: 'link', linkname: hardLink });
    else if (directory) stream.entry({ ...base, type: 'directory' });
    else if (link !== undefined) stream.entry({ ...base, type: 'symlink', linkname: link });
    else stream.entry(base, data ?? '');
  }
  stream.finalize();
  const parts: Buffer[] = [];
  for await (const part of stream as unknown as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

const applets = 'sh sleep echo cat id env pwd ls true false kill mount unshare touch grep head tail wc dd stty tty ulimit test od seq mkdir hostname nc stat mknod chown rm ps df'.split(' ');

/** Two layers: busybox, then accounts and a file that tells `variant` images apart. `config` is Docker's config object. */
export async function busyboxImage(options: { readonly config?: object; readonly variant?: string } = {}): Promise<BuiltImage> {
  const busybox = await readFile('/bin/busybox');
  const base = await tar([
    ...['bin', 'etc', 'tmp', 'root', 'dev', 'proc', 'sys', 'usr', 'usr/bin', 'sbin'].map((name) => ({ name, directory: true, mode: name === 'tmp' ? 0o1777 : 0o755 })),
    { name: 'bin/busybox', mode: 0o755, data: busybox },
    ...applets.map((name) => ({ name: `bin/${name}`, link: 'busybox' })),
  ]);
  const accounts = await tar([
    { name: 'etc/passwd', data: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1234:2345:Web:/srv:/bin/sh\n' },
    { name: 'etc/group', data: 'root:x:0:\nweb:x:2345:\nextra:x:3456:web\nmore:x:4567:\n' },
    { name: 'variant', data: options.variant ?? 'plain' },
  ]);
  const layers = [base, accounts];
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin:/sbin', 'FROM_IMAGE=yes'], Cmd: ['sleep', '1000'], ...options.config },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) },
    history: [],
  };
  return { config: Buffer.from(JSON.stringify(config)), layers };
}

/** As `docker save` wrote it for years: layers under directories, what it means in manifest.json at the end. */
export async function dockerArchive(image: BuiltImage, tags: readonly string[] | null): Promise<Buffer> {
  const names = image.layers.map((layer) => `${digestOf(layer)}/layer.tar`);
  const config = `${digestOf(image.config)}.json`;
  return await tar([
    ...image.layers.flatMap((layer, index) => [
      { name: `${digestOf(layer)}/`, directory: true },
      { name: `${digestOf(layer)}/VERSION`, data: '1.0' },
      { name: names[index] ?? '', data: layer },
    ]),
    { name: config, data: image.config },
    { name: 'manifest.json', data: JSON.stringify([{ Config: config, RepoTags: tags, Layers: names }]) },
  ]);
}

/** An OCI layout; layers gzipped unless told. `name` becomes the image's annotation. */
export async function ociArchive(image: BuiltImage, name: string | null, options: { readonly gzip?: boolean; readonly corrupt?: boolean } = {}): Promise<Buffer> {
  const gzip = options.gzip ?? true;
  const layers = image.layers.map((layer) => (gzip ? gzipSync(layer) : layer));
  const type = `application/vnd.oci.image.layer.v1.tar${gzip ? '+gzip' : ''}`;
  const describe = (mediaType: string, data: Buffer) => ({ mediaType, digest: `sha256:${digestOf(data)}`, size: data.length });
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: describe('application/vnd.oci.image.config.v1+json', image.config), layers: layers.map((layer) => describe(type, layer)) }),
  );
  const index = {
    schemaVersion: 2,
    manifests: [{ ...describe('application/vnd.oci.image.manifest.v1+json', manifest), ...(name === null ? {} : { annotations: { 'io.containerd.image.name': name } }) }],
  };
  const blob = (data: Buffer, broken = false) => ({ name: `blobs/sha256/${digestOf(data)}`, data: broken ? Buffer.concat([data.subarray(0, -1), Buffer.from([(data.at(-1) ?? 0) ^ 0xff])]) : data });
  return await tar([
    { name: 'blobs', directory: true },
    { name: 'blobs/sha256', directory: true },
    ...layers.map((layer, at) => blob(layer, options.corrupt === true && at === 1)),
    blob(image.config),
    blob(manifest),
    { name: 'oci-layout', data: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', data: JSON.stringify(index) },
  ]);
}

/** In small pieces, as a network brings it. */
export async function* asStream(data: Uint8Array, piece = 50_000): AsyncIterable<Uint8Array> {
  for (let at = 0; at < data.length; at += piece) yield data.subarray(at, at + piece);
}
