import { expect, test } from 'vitest';
import { digestsOf, missingImages } from '../../../deploy/missing-images.ts';

const image = (reference: string, id: string) => ({ reference, id, path: `/${id}.tar`, fresh: false });
const item = (node: string, reference: string, digest: string) => ({ node, references: [reference], digest, size: 1 });

test('an image counts as missing when one node lacks it, or has another by its name', () => {
  const images = [image('vote:1', 'id1'), image('db:2', 'id2')];
  const present = [item('a', 'docker.io/library/vote:1', 'm1'), item('b', 'docker.io/library/vote:1', 'old'), item('a', 'db:2', 'id2'), item('c', 'docker.io/library/notvote:1', 'm1')];
  const known = { id1: ['m1'] };
  expect(missingImages(images, ['a', 'b', 'c'], present, known)).toEqual(images);
  expect(missingImages(images, ['b'], present, known)).toEqual(images);
  expect(missingImages(images, ['c'], present, known)).toEqual(images);
  expect(missingImages(images, ['a'], present, {})).toEqual([images[0]]);
  expect(missingImages(images, ['a'], present, known)).toEqual([]);
  expect(missingImages(images, [], present, {})).toEqual([]);
});

test('what nodes list after loading is known the next time', () => {
  const images = [image('vote:1', 'id1')];
  const present = [item('a', 'docker.io/library/vote:1', 'm1'), item('b', 'docker.io/library/vote:1', 'm1')];
  expect(digestsOf(images, present)).toEqual({ id1: ['m1'] });
  expect(missingImages(images, ['a', 'b'], present, digestsOf(images, present))).toEqual([]);
});
