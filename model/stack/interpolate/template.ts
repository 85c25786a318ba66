/**
 * The `$` language of Compose files and of dotenv files:
 *
 * | form | value |
 * |---|---|
 * | `$$` | a dollar |
 * | `$VAR` `${VAR}` | the variable, empty when unset (with a warning) |
 * | `${VAR:-text}` `${VAR-text}` | text when VAR is unset or empty; when it is unset |
 * | `${VAR:?text}` `${VAR?text}` | likewise, but an error that says text |
 * | `${VAR:+text}` `${VAR+text}` | text when VAR is set and not empty; when it is set |
 *
 * The texts are templates themselves.
 */
export interface TemplateIssue {
  readonly message: string;
  /** In characters of the template. */
  readonly offset: number;
  readonly hint?: string;
  /** The result is too long, as will be all others. */
  readonly limit?: boolean;
}

export interface TemplateContext {
  readonly lookup: (name: string) => string | undefined;
  /** A variable without default that is not set. */
  readonly unset: (name: string, offset: number) => void;
  readonly fail: (issue: TemplateIssue) => void;
  /** Longest result, in characters: what is left of `total`, the limit that messages name. */
  readonly limit: number;
  readonly total?: number;
}

const maxDepth = 20;
const nameShape = /[A-Za-z_][A-Za-z0-9_]*/y;
const dollarHint = 'write $$ for a dollar that is meant as such';

/** The template's value; what is wrong goes to `context.fail`, and then the result means nothing. */
export function expand(text: string, context: TemplateContext): string {
  if (!text.includes('$')) return text;
  return new Expander(text, context).run();
}

class Expander {
  readonly #text: string;
  readonly #context: TemplateContext;
  #at = 0;
  #failed = false;
  #length = 0;

  constructor(text: string, context: TemplateContext) {
    this.#text = text;
    this.#context = context;
  }

  run(): string {
    return this.#template(0, true);
  }

  /** Up to the end of the text, or to the brace that closes the expression around it. `live`: the value will be used. */
  #template(depth: number, live: boolean): string {
    let out = '';
    while (this.#at < this.#text.length && !this.#failed) {
      const character = this.#text[this.#at];
      if (character === '}' && depth > 0) return out;
      if (character !== '$') {
        const end = this.#plainEnd(depth > 0);
        out += this.#text.slice(this.#at, end);
        this.#at = end;
        continue;
      }
      const part = this.#dollar(depth, live);
      this.#length += part.length;
      if (this.#length > this.#context.limit) this.#fail(this.#at, `interpolation makes more than ${this.#context.total ?? this.#context.limit} characters in all, the limit`, undefined, true);
      else out += part;
    }
    return out;
  }

  #plainEnd(nested: boolean): number {
    let end = this.#text.indexOf('$', this.#at);
    if (end < 0) end = this.#text.length;
    const brace = nested ? this.#text.indexOf('}', this.#at) : -1;
    return brace >= 0 && brace < end ? brace : end;
  }

  #dollar(depth: number, live: boolean): string {
    const start = this.#at;
    const next = this.#text[start + 1];
    if (next === '$') {
      this.#at = start + 2;
      return '$';
    }
    if (next === '{') return this.#braced(start, depth, live);
    const name = this.#name(start + 1);
    if (name === '') return this.#fail(start, next === undefined ? 'a $ stands alone at the end' : `$${next} is no variable`, dollarHint);
    this.#at = start + 1 + name.length;
    return this.#value(name, start, live);
  }

  #braced(start: number, depth: number, live: boolean): string {
    if (depth >= maxDepth) return this.#fail(start, `variables nested deeper than ${maxDepth}, the limit`);
    const name = this.#name(start + 2);
    if (name === '') return this.#fail(start, '${ needs the name of a variable', dollarHint);
    this.#at = start + 2 + name.length;
    const rest = this.#text.slice(this.#at, this.#at + 2);
    if (rest.startsWith('}')) {
      this.#at += 1;
      return this.#value(name, start, live);
    }
    const operator = /^:?[-?+]/.exec(rest)?.[0];
    if (operator === undefined) {
      return this.#text.includes('}', this.#at)
        ? this.#fail(this.#at, `${this.#text[this.#at] ?? ''} cannot stand after the variable ${name}`, 'the operators are :- - :? ? :+ +')
        : this.#fail(start, '${ is not closed', 'add the }');
    }
    this.#at += operator.length;
    const value = this.#context.lookup(name);
    const there = operator.length === 2 ? value !== undefined && value !== '' : value !== undefined;
    const kind = operator.at(-1);
    const text = this.#template(depth + 1, live && (kind === '+' ? there : !there));
    if (this.#failed) return '';
    if (this.#text[this.#at] !== '}') return this.#fail(start, '${ is not closed', 'add the }');
    this.#at += 1;
    if (kind === '+') return there ? text : '';
    if (there) return value ?? '';
    if (kind === '-' || !live) return text;
    return this.#fail(start, `the variable ${name} ${value === undefined ? 'is not set' : 'is empty'}${text === '' ? '' : `: ${text}`}`, `set ${name} in the environment or in .env`);
  }

  #value(name: string, offset: number, live: boolean): string {
    const value = this.#context.lookup(name);
    if (value === undefined && live) this.#context.unset(name, offset);
    return value ?? '';
  }

  #name(at: number): string {
    nameShape.lastIndex = at;
    return nameShape.exec(this.#text)?.[0] ?? '';
  }

  #fail(offset: number, message: string, hint?: string, limit = false): string {
    if (!this.#failed) this.#context.fail({ message, offset, ...(hint === undefined ? {} : { hint }), ...(limit ? { limit } : {}) });
    this.#failed = true;
    return '';
  }
}
