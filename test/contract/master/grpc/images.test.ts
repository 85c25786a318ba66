/** What hosts tell of their images, and what they are told when they look for one. */
import { Metadata } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { channelCredentials } from '../../../../lib/pki/channel.ts';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import type { HeldImage } from '../../../../model/image.ts';
import { AgentsClient, type LocateReply } from '../../../../proto/gen/tsorch/node.ts';
import { SessionHost } from '../api/host.ts';
import { Lab, until } from '../api/lab.ts';

let lab: Lab;
const closing: (() => void)[] = [];

beforeAll(async () => {
  lab = await Lab.start();
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});
afterAll(() => lab[Symbol.asyncDispose]());

const hex = (name: string) => `sha256:${Buffer.from(name).toString('hex').padEnd(64, '0')}`;

function held(digest: string, name: string, since: number): HeldImage {
  const layer = { mediaType: 'layer', digest: hex(`l${digest}`), size: 5, diffId: hex(`d${digest}`), here: true };
  return { target: { mediaType: 'manifest', digest: hex(digest), size: 9 }, names: [{ name, since }], config: hex(`c${digest}`), size: 6, documents: [hex(digest), hex(`c${digest}`)], layers: [layer] };
}

async function join(name: string): Promise<{ readonly host: SessionHost; readonly credentials: Credentials }> {
  const { id, credentials } = await lab.join(name);
  const host = new SessionHost({ id, port: lab.serving.grpcPort, credentials, obedient: true, heartbeatMs: 200 }).hello({ blobPort: 7445 });
  closing.push(() => host.close());
  await until(`${name} is welcome`, () => host.welcome !== undefined);
  return { host, credentials };
}

function locate(credentials: Credentials, reference: string, digests: string[] = []): Promise<LocateReply> {
  const client = new AgentsClient(`127.0.0.1:${lab.serving.grpcPort}`, channelCredentials(credentials), { 'grpc.use_local_subchannel_pool': 1 });
  return new Promise<LocateReply>((resolve, reject) => {
    client.locate({ reference, digests }, new Metadata(), { deadline: Date.now() + 5000 }, (error, reply) => (error ? reject(error) : resolve(reply)));
  }).finally(() => client.close());
}

it('a host finds what another one has, by name and by blob, until that one goes', async () => {
  const [one, two] = [await join('one'), await join('two')];
  one.host.send({ $case: 'images', value: { upsert: [JSON.stringify(held('a', 'docker.io/library/app:1', 5)), 'no JSON', '{"target":{}}'], remove: [], full: true } });
  await until('it is known', () => lab.serving.context.images.images(one.host.id).length === 1);
  const reply = await locate(two.credentials, 'docker.io/library/app:1', [hex('la'), hex('ca'), hex('other')]);
  expect(JSON.parse(reply.image)).toEqual({ target: { mediaType: 'manifest', digest: hex('a'), size: 9 }, since: 5 });
  expect(reply.blobs).toEqual([{ holders: [one.host.id], seekers: [], first: true }, { holders: [one.host.id], seekers: [], first: true }, { holders: [], seekers: [], first: true }]);
  expect((await locate(two.credentials, 'docker.io/library/other:1')).image).toBe('');
  await until('both know each other', () => two.host.peers.has(one.host.id));
  expect(two.host.peers.get(one.host.id)?.blobPort).toBe(7445);

  one.host.send({ $case: 'images', value: { upsert: [JSON.stringify(held('b', 'docker.io/library/app:1', 7))], remove: [hex('a')], full: false } });
  await until('the change is known', () => lab.serving.context.images.has(hex('lb')));
  expect(JSON.parse((await locate(two.credentials, 'docker.io/library/app:1')).image)).toMatchObject({ since: 7, target: { digest: hex('b') } });
  expect((await locate(two.credentials, '', [hex('la')])).blobs[0]?.holders).toEqual([]);

  one.host.close();
  await until('it is forgotten', () => !lab.serving.context.images.has(hex('lb')));
  expect((await locate(two.credentials, 'docker.io/library/app:1')).image).toBe('');
});

it('a host that has looked in vain hears when another one has it', async () => {
  const [one, two] = [await join('five'), await join('six')];
  expect((await locate(one.credentials, 'docker.io/library/late:1')).image).toBe('');
  two.host.send({ $case: 'images', value: { upsert: [JSON.stringify(held('late', 'docker.io/library/late:1', 5))], remove: [], full: true } });
  await until('it hears', () => one.host.found.includes('docker.io/library/late:1'));
  expect(two.host.found).toEqual([]);
});

it('of two that look for the same one is to bring it, and the other hears who', async () => {
  const [one, two] = [await join('three'), await join('four')];
  expect((await locate(one.credentials, '', [hex('x')])).blobs).toEqual([{ holders: [], seekers: [], first: true }]);
  expect((await locate(two.credentials, '', [hex('x')])).blobs).toEqual([{ holders: [], seekers: [one.host.id], first: false }]);
});

it('nobody else is told anything', async () => {
  await expect(locate(await lab.person('viewer'), 'docker.io/library/app:1')).rejects.toMatchObject({ details: 'this call is for nodes' });
  await expect(locate(lab.admin, '')).rejects.toMatchObject({ details: 'this call is for nodes' });
  await expect(locate(await lab.node('n000000000000'), '')).rejects.toMatchObject({ details: expect.stringContaining('was removed from the cluster') });
});
