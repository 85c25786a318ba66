/** Words → the syntax tree. */
import { lex, type Piece, type Token } from './lex.ts';
import { TemplateError, type Command, type Operand, type Pipeline, type Positioned, type Step } from './syntax.ts';

const maxDepth = 50;

/** Throws a TemplateError. */
export function parseTemplate(text: string): readonly Step[] {
  const parser = new Parser(lex(text));
  return parser.steps(0, null).steps;
}

type Ending = { readonly word: 'end' | 'else'; readonly rest: readonly Token[]; readonly offset: number };

class Parser {
  readonly #pieces: readonly Piece[];
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Up to the end, or to the `end` or `else` of the action at `inside`. */
  steps(depth: number, inside: { readonly word: string; readonly offset: number; readonly loop: boolean } | null): { readonly steps: readonly Step[]; readonly ending: Ending | null } {
    const steps: Step[] = [];
    if (depth > maxDepth) throw new TemplateError(`nested deeper than ${maxDepth}, the limit`, inside?.offset ?? 0);
    for (let piece = this.#pieces[this.#at]; piece; piece = this.#pieces[this.#at]) {
      this.#at += 1;
      if (piece.kind === 'text') {
        steps.push(piece);
        continue;
      }
      const [first, ...rest] = piece.tokens;
      const word = first?.kind === 'word' ? first.text : '';
      const { offset } = piece;
      switch (word) {
        case 'if': case 'with': case 'range': steps.push(this.#block(word, rest, offset, depth, inside?.loop === true)); break;
        case 'end': case 'else':
          if (!inside) throw new TemplateError(`{{${word}}} ends nothing`, offset);
          return { steps, ending: { word, rest, offset } };
        case 'break': case 'continue':
          if (inside?.loop !== true) throw new TemplateError(`{{${word}}} stands outside of a range`, offset);
          steps.push({ kind: word });
          break;
        case 'define': case 'template': case 'block': throw new TemplateError(`{{${word}}} is not known here`, offset);
        default: steps.push({ kind: 'output', pipeline: new Words(piece.tokens, offset).whole(false) });
      }
    }
    if (inside) throw new TemplateError(`{{${inside.word}}} has no {{end}}`, inside.offset);
    return { steps, ending: null };
  }

  #block(word: 'if' | 'with' | 'range', tokens: readonly Token[], offset: number, depth: number, loop: boolean): Step {
    const pipeline = new Words(tokens, offset).whole(word === 'range');
    const within = { word, offset, loop: loop || word === 'range' };
    const { steps: body, ending } = this.steps(depth + 1, within);
    if (ending?.word !== 'else') return { kind: word, pipeline, body, otherwise: [] };
    const [next, ...rest] = ending.rest;
    // `else if` and `else with` share the `end` of the first.
    if (next?.kind === 'word' && (next.text === 'if' || next.text === 'with') && word !== 'range') {
      return { kind: word, pipeline, body, otherwise: [this.#block(next.text, rest, ending.offset, depth + 1, loop)] };
    }
    if (next) throw new TemplateError('nothing but if or with can follow else', next.offset);
    const other = this.steps(depth + 1, { ...within, loop });
    if (other.ending?.word === 'else') throw new TemplateError(`{{${word}}} has two {{else}}`, other.ending.offset);
    return { kind: word, pipeline, body, otherwise: other.steps };
  }
}

class Words {
  readonly #tokens: readonly Token[];
  readonly #offset: number;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], offset: number) {
    this.#tokens = tokens;
    this.#offset = offset;
  }

  whole(range: boolean): Pipeline {
    const pipeline = this.#pipeline(range);
    const rest = this.#tokens[this.#at];
    if (rest) throw new TemplateError('this is one word too many', rest.offset);
    return pipeline;
  }

  #pipeline(range: boolean): Pipeline {
    const offset = this.#tokens[this.#at]?.offset ?? this.#offset;
    const { variables, assign } = this.#declaration(range);
    const commands: Command[] = [];
    do commands.push(this.#command()); while (this.#mark('|'));
    return { offset, variables, assign, commands };
  }

  #declaration(range: boolean): { readonly variables: readonly string[]; readonly assign: boolean } {
    const start = this.#at;
    const variables: string[] = [];
    for (let token = this.#tokens[this.#at]; token?.kind === 'variable'; token = this.#tokens[this.#at]) {
      variables.push(token.text);
      this.#at += 1;
      if (this.#mark(':=')) return { variables, assign: false };
      if (this.#mark('=')) return { variables, assign: true };
      if (!range || variables.length === 2 || !this.#mark(',')) break;
    }
    this.#at = start;
    return { variables: [], assign: false };
  }

  #command(): Command {
    const operands: Positioned<Operand>[] = [];
    for (let operand = this.#operand(); operand; operand = this.#operand()) operands.push(operand);
    if (operands.length === 0) throw new TemplateError('a value is missing', this.#tokens[this.#at]?.offset ?? this.#offset);
    return operands;
  }

  #operand(): Positioned<Operand> | null {
    const token = this.#tokens[this.#at];
    if (!token || (token.kind === 'mark' && token.text !== '.' && token.text !== '(')) return null;
    this.#at += 1;
    const { offset } = token;
    switch (token.kind) {
      case 'literal': return { kind: 'literal', value: token.value, offset };
      case 'word': return { kind: 'function', name: token.text, offset };
      case 'variable': return { kind: 'variable', name: token.text, fields: this.#fields(), offset };
      case 'field': return { kind: 'dot', fields: [token.text, ...this.#fields()], offset };
      case 'mark': {
        if (token.text === '.') return { kind: 'dot', fields: [], offset };
        if (++this.#depth > maxDepth) throw new TemplateError(`nested deeper than ${maxDepth}, the limit`, offset);
        const pipeline = this.#pipeline(false);
        this.#depth -= 1;
        if (!this.#mark(')')) throw new TemplateError('( is not closed', offset);
        return { kind: 'pipeline', pipeline, fields: this.#fields(), offset };
      }
    }
  }

  #fields(): readonly string[] {
    const fields: string[] = [];
    for (let token = this.#tokens[this.#at]; token?.kind === 'field' && token.bare; token = this.#tokens[this.#at]) {
      fields.push(token.text);
      this.#at += 1;
    }
    return fields;
  }

  #mark(text: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'mark' || token.text !== text) return false;
    this.#at += 1;
    return true;
  }
}
