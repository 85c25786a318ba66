import { describe, expect, test } from 'vitest';
import { type End, landing, parsePlace } from '../../../cli/copy/rules.ts';
import { parseForward } from '../../../cli/commands/port-forward.ts';
import { DetachScanner, parseDetachKeys } from '../../../cli/terminal/detach-keys.ts';

describe('places', () => {
  test.each<[string, object]>([
    ['-', { kind: 'stream' }], ['a/b', { kind: 'local', path: 'a/b' }], ['./a:b', { kind: 'local', path: './a:b' }], ['/a:b', { kind: 'local', path: '/a:b' }],
    ['web:/x', { kind: 'pod', target: 'web', path: '/x' }], ['s_web.1:x:y', { kind: 'pod', target: 's_web.1', path: 'x:y' }], [':x', { kind: 'local', path: ':x' }],
  ])('%s', (word, place) => expect(parsePlace(word)).toEqual(place));
  test('a pod without a path', () => expect(() => parsePlace('web:')).toThrow('the path after the colon is missing'));
});

/** docker's table: what is copied, where to, what is there; where it lands. */
describe('landing', () => {
  const file = (path: string): End => ({ path, type: 'file' });
  const folder = (path: string): End => ({ path, type: 'directory' });
  const nothing = (path: string): End => ({ path, type: null });
  test.each<[string, End, End, object | string]>([
    ['a file to a new name', file('/a/f'), nothing('/b/g'), { directory: '/b', as: 'g' }],
    ['a file to a new name here', file('f'), nothing('g'), { directory: '.', as: 'g' }],
    ['a file into a directory that is not there', file('/a/f'), nothing('/b/g/'), 'there is no directory /b/g/'],
    ['a file over a file', file('/a/f'), file('/b/g'), { directory: '/b', as: 'g' }],
    ['a file over a file that is called a directory', file('/a/f'), file('/b/g/'), '/b/g/ is no directory'],
    ['a file into a directory', file('/a/f'), folder('/b'), { directory: '/b', as: 'f' }],
    ['a directory to a new name', folder('/a/d'), nothing('/b/e'), { directory: '/b', as: 'e' }],
    ['a directory to a new name with a slash', folder('/a/d'), nothing('/b/e/'), { directory: '/b', as: 'e' }],
    ['a directory\'s content to a new name', folder('/a/d/.'), nothing('/b/e'), { directory: '/b', as: 'e' }],
    ['a directory over a file', folder('/a/d'), file('/b/g'), '/b/g is a file: a directory cannot be copied onto it'],
    ['a directory into a directory', folder('/a/d'), folder('/b'), { directory: '/b', as: 'd' }],
    ['a directory with a slash into a directory', folder('/a/d/'), folder('/b'), { directory: '/b', as: 'd' }],
    ['a directory\'s content into a directory', folder('/a/d/.'), folder('/b'), { directory: '/b', as: '.' }],
    ['this directory\'s content', folder('.'), folder('/b'), { directory: '/b', as: '.' }],
    ['a whole root', folder('/'), folder('b'), { directory: 'b', as: '.' }],
    ['onto the root', file('f'), folder('/'), { directory: '/', as: 'f' }],
  ])('%s', (_, source, destination, result) => {
    if (typeof result === 'string') expect(() => landing(source, destination)).toThrow(result);
    else expect(landing(source, destination)).toEqual(result);
  });
});

describe('ports', () => {
  test.each<[string, object]>([
    ['80', { local: 80, remote: 80, protocol: 'tcp' }], ['8080:80', { local: 8080, remote: 80, protocol: 'tcp' }], [':80', { local: 0, remote: 80, protocol: 'tcp' }],
    ['5353:53/udp', { local: 5353, remote: 53, protocol: 'udp' }], ['80/tcp', { local: 80, remote: 80, protocol: 'tcp' }],
  ])('%s', (word, made) => expect(parseForward(word)).toEqual(made));
  test.each(['', ':', '80:', '0', '8080:0', '65536', '65536:80', 'a:b', '80/sctp', '1:2:3', '-1'])('%j is none', (word) => expect(() => parseForward(word)).toThrow('is no port to forward'));
});

describe('detach keys', () => {
  test.each<[string, number[]]>([['ctrl-p,ctrl-q', [16, 17]], ['ctrl-@', [0]], ['ctrl-[,x', [27, 120]], ['ctrl-_', [31]], ['CTRL-A', [1]], ['', []]])('%j', (text, bytes) => expect([...parseDetachKeys(text)]).toEqual(bytes));

  test.each<[string[], string, boolean]>([
    [['ab'], 'ab', false], [['a\u0010\u0011b'], 'a', true], [['\u0010', '\u0011'], '', true], [['\u0010', 'x'], '\u0010x', false], [['\u0010\u0010\u0011'], '\u0010', true], [['\u0011\u0010'], '\u0011', false],
  ])('%j', (typed, forward, detached) => {
    const scanner = new DetachScanner(parseDetachKeys('ctrl-p,ctrl-q'));
    const results = typed.map((text) => scanner.push(Buffer.from(text)));
    expect(results.map((result) => Buffer.from(result.forward).toString()).join('')).toBe(forward);
    expect(results.some((result) => result.detached)).toBe(detached);
  });
});
