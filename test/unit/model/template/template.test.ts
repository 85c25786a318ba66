/** Go's templates as Swarm uses them: the language, what a pod's template makes of them, and their limits. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expandPayload, expandTemplate, isTemplate, type TemplateContext } from '../../../../model/template/swarm.ts';

const context: TemplateContext = {
  Service: { ID: 'shop_web', Name: 'shop_web', Labels: { team: 'blue', 'com.example.tier': 'front', empty: '' } },
  Node: { ID: 'n1', Hostname: 'node-1', Platform: { OS: 'linux', Architecture: 'x86_64' } },
  Task: { ID: 'x7k2', Name: 'shop_web.3.x7k2', Slot: '3' },
};

function made(text: string): string {
  const result = expandPayload(text, context, { env: (name) => ({ A: 'a' })[name], secret: (target) => (target === 'token' ? 's3cret' : undefined), config: (target) => (target === 'site' ? 'conf' : undefined) });
  return 'ok' in result ? result.ok : `${result.offset}: ${result.error}`;
}

describe('the language', () => {
  test.each([
    ['host-{{.Node.Hostname}}', 'host-node-1'], ['{{.Service.ID}} {{ .Service.Name }} {{.Node.ID}} {{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}', 'shop_web shop_web n1 x7k2 shop_web.3.x7k2 3'], ['{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}', 'linux/x86_64'],
    ['{{.Service.Labels.team}}', 'blue'], ['{{index .Service.Labels "com.example.tier"}}', 'front'], ['{{index .Service.Labels "none"}}|', '|'], ['{{(.Service).Labels.team}}', 'blue'], ['{{$.Task.Slot}}', '3'], ['{{.Service.Labels.team | printf "%s-%s" "a"}}', 'a-blue'],
    ['{{range $k, $v := .Service.Labels}}{{$k}}={{$v}},{{end}}', 'com.example.tier=front,empty=,team=blue,'], ['{{range .Service.Labels}}[{{.}}]{{end}}', '[front][][blue]'], ['{{range $v := .Service.Labels}}{{if eq $v ""}}{{continue}}{{end}}{{$v}}{{break}}{{end}}', 'front'], ['{{range 3}}{{.}}{{end}}', '012'], ['{{range ""}}x{{else}}none{{end}}', 'none'],
    ['{{if .Service.Labels.team}}yes{{else}}no{{end}}', 'yes'], ['{{if .Service.Labels.empty}}yes{{else if eq .Task.Slot "3"}}three{{else}}no{{end}}', 'three'], ['{{if not .Service.Labels.empty}}none{{end}}', 'none'], ['{{with .Service.Labels.team}}<{{.}}>{{end}}', '<blue>'], ['{{with .Service.Labels.empty}}x{{else}}y{{end}}', 'y'], ['{{with .Service.Labels.empty}}x{{else with "z"}}{{.}}{{end}}', 'z'],
    ['{{$x := .Task.Slot}}{{if true}}{{$x = "9"}}{{end}}{{$x}}', '9'], ['{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}', '21'], ['a {{- " b " -}} c', 'a b c'], ['a {{- /* note */ -}} c', 'ac'], ['{{/* }} */}}x', 'x'], ['{{"{{.Task.Slot}}"}}', '{{.Task.Slot}}'], ['{{`a\\n`}}', 'a\\n'], ['{{"a\\tb\\u00e9\\x41"}}', 'a\tbéA'],
    ['{{and "a" "b"}} {{and "" "b"}}| {{or "" "b"}} {{or "" ""}}|', 'b | b |'], ['{{eq 1 2 1}} {{ne "a" "b"}} {{lt 1 2}} {{le "b" "a"}} {{gt 2 1}} {{ge 2 2}}', 'true true true false true true'], ['{{len "héllo"}} {{len .Service.Labels}}', '6 3'], ['{{slice "abcdef" 1 3}}{{slice "abc" 2}}', 'bcc'],
    ['{{print 1 2 "a" 3}}', '1 2a3'], ['{{println "a" 1}}', 'a 1\n'], ['{{printf "%03d|%-4s|%q|%t|%x|%v|%%" 7 "ab" "c\\"" true 255 "v"}}', '007|ab  |"c\\""|true|ff|v|%'], ['{{join "-" "a" .Task.Slot "c"}}', 'a-3-c'], ['{{urlquery "a b&c"}}', 'a+b%26c'], ['{{\'a\'}}', '97'], ['{{-1}} {{0x10}} {{1.5}}', '-1 16 1.5'], ['{{.Service.Labels}}', 'map[com.example.tier:front empty: team:blue]'],
    ['{{env "A"}}{{env "B"}}', 'a'], ['{{secret "token"}} {{config "site"}}', 's3cret conf'], ['no braces, } and {', 'no braces, } and {'],
  ])('%j', (text, expected) => expect(made(text)).toBe(expected));

  test.each([
    ['{{.Nope}}', '2: there is no .Nope'], ['{{.Service.Labels.nope}}', '2: there is no .Service.Labels.nope'], ['{{.Task.Slot.x}}', '2: .Task.Slot has no fields'], ['{{nope 1}}', '2: there is no function nope'], ['{{.Task', '0: {{ is not closed'], ['x{{if 1}}', '1: {{if}} has no {{end}}'], ['{{end}}', '0: {{end}} ends nothing'], ['{{else}}', '0: {{else}} ends nothing'],
    ['{{break}}', '0: {{break}} stands outside of a range'], ['{{$x}}', '2: there is no variable $x'], ['{{"a}}', '2: the " is not closed'], ['{{"\\q"}}', '3: \\q is no escape'], ['{{}}', '0: a value is missing'], ['{{(1}}', '2: ( is not closed'], ['{{1 2}}', '2: this is no function, and takes no arguments'], ['{{index 1 2}}', '2: index takes a map and a key'], ['{{template "x"}}', '0: {{template}} is not known here'],
    ['{{not 1 2}}', '2: not takes 1 arguments, not 2'], ['{{.Service}}', '2: this is no text: name one of its fields'], ['{{secret "other"}}', '2: the container has no secret "other"'], ['{{secret}}', '2: secret takes one name'], ['{{printf "%d" "x"}}', '2: printf cannot show this by %d'], ['{{printf "%s"}}', '2: printf has 0 values for 1 places'], ['{{slice "abc" 2 9}}', '2: slice goes beyond the text of 3 characters'],
    ['{{if 1}}{{else}}{{else}}{{end}}', '16: {{if}} has two {{else}}'], ['{{1 ; 2}}', '4: ";" has no meaning in a template'], ['{{/* x }}', '0: the comment is not closed'], ['{{range 100000}}x{{end}}', '0: the template takes more than 10000 steps, the limit'], [`{{${'('.repeat(60)}1}}`, '52: nested deeper than 50, the limit'], [`${'{{if 1}}'.repeat(60)}`, expect.stringContaining('nested deeper than 50') as unknown as string],
  ])('%j', (text, expected) => expect(made(text)).toEqual(expected));

  test('any text is made into a text or refused, in bounded time', () => {
    const bits = fc.constantFrom('{{', '}}', '{{if ', '{{range ', '{{end}}', '{{else}}', '.', '.Task', '.Slot', '$', '$x', ':=', '=', '|', '(', ')', '"', '`', "'", ' ', '-', '- ', ' -', '1', 'eq ', 'index ', 'print ', 'a', '\n', '/*', '*/', ',');
    fc.assert(fc.property(fc.array(bits, { maxLength: 30 }), (parts) => {
      const text = parts.join('');
      expect(typeof made(text)).toBe('string');
      expect(typeof isTemplate(text)).toBe('boolean');
    }), { numRuns: 2000 });
    expect(made('{{'.repeat(200_000))).toContain('has no meaning');
    expect(isTemplate(`${'{{'.repeat(500_000)}.Task`)).toBe(true);
  });
});

test('what is a template', () => {
  for (const text of ['{{.Task.Slot}}', '{{ index .Service.Labels "x" }}', '{{if eq .Node.ID "x"}}{{end}}', '{{$.Task.ID}}']) expect([text, isTemplate(text)]).toEqual([text, true]);
  for (const text of ['{{.Name}}', '{{range .}}{{.Message}}{{end}}', '.Task.Slot', '{{', '{{ a }} .Node', '{{.Tasks}}', '${X}']) expect([text, isTemplate(text)]).toEqual([text, false]);
  expect(expandTemplate('{{range .}}{{.Message}}{{end}}', context)).toEqual({ ok: '{{range .}}{{.Message}}{{end}}' });
});
