/** A template and the values it is about → text. Bounded in steps and length: whoever writes a stack writes templates. */
import { functions, isTrue, show, type Call, type Value } from './functions.ts';
import { TemplateError, type Command, type Operand, type Pipeline, type Positioned, type Step } from './syntax.ts';

const maxSteps = 10_000;
const maxLength = 1024 * 1024;

/** Throws a TemplateError. `extra`: functions of one argument besides Go's. */
export function evaluate(steps: readonly Step[], root: Value, extra: Readonly<Record<string, (name: string, offset: number) => Value>> = {}): string {
  const run = new Run(root, extra);
  run.steps(steps, root);
  return run.text;
}

type Flow = 'break' | 'continue' | undefined;

class Run {
  readonly #root: Value;
  readonly #extra: Readonly<Record<string, (name: string, offset: number) => Value>>;
  readonly #variables: { readonly name: string; value: Value }[] = [];
  #left = maxSteps;
  text = '';

  constructor(root: Value, extra: Readonly<Record<string, (name: string, offset: number) => Value>>) {
    this.#root = root;
    this.#extra = extra;
  }

  steps(steps: readonly Step[], dot: Value): Flow {
    for (const step of steps) {
      if (--this.#left < 0) throw new TemplateError(`the template takes more than ${maxSteps} steps, the limit`, 0);
      switch (step.kind) {
        case 'text': this.#write(step.text); break;
        case 'output': {
          const value = this.#pipeline(step.pipeline, dot);
          if (step.pipeline.variables.length === 0) this.#write(show(value, step.pipeline.offset));
          break;
        }
        case 'break': case 'continue': return step.kind;
        default: {
          const flow = this.#block(step, dot);
          if (flow) return flow;
        }
      }
    }
    return undefined;
  }

  /** Variables of a block end with it. */
  #block({ kind, pipeline, body, otherwise }: Extract<Step, { readonly body: readonly Step[] }>, dot: Value): Flow {
    const scope = this.#variables.length;
    const value = this.#pipeline(pipeline, dot, kind === 'range');
    let flow: Flow;
    if (kind === 'range') this.#range(pipeline, value, body, otherwise, dot);
    else flow = this.steps(isTrue(value) ? body : otherwise, kind === 'with' && isTrue(value) ? value : dot);
    this.#variables.length = scope;
    return flow;
  }

  #range({ variables, assign, offset }: Pipeline, over: Value, body: readonly Step[], otherwise: readonly Step[], dot: Value): void {
    const entries = entriesOf(over, offset);
    let any = false;
    for (const [key, value] of entries) {
      any = true;
      const scope = this.#variables.length;
      // One variable is the value, two are key and value.
      for (const [index, name] of variables.entries()) this.#set(name, variables.length === 2 && index === 0 ? key : value, assign, offset);
      const flow = this.steps(body, value);
      this.#variables.length = scope;
      if (flow === 'break') break;
    }
    if (!any) this.steps(otherwise, dot);
  }

  #pipeline({ variables, assign, commands, offset }: Pipeline, dot: Value, range = false): Value {
    let value: Value;
    for (const [index, command] of commands.entries()) value = this.#command(command, dot, index === 0 ? [] : [value]);
    if (!range) for (const name of variables) this.#set(name, value, assign, offset);
    return value;
  }

  #command([first, ...rest]: Command, dot: Value, last: readonly Value[]): Value {
    if (!first) return undefined;
    if (first.kind !== 'function') {
      const value = this.#operand(first, dot);
      if (rest.length + last.length > 0) throw new TemplateError('this is no function, and takes no arguments', first.offset);
      return value;
    }
    return this.#call(first.name, [...rest.map((operand) => this.#operand(operand, dot)), ...last], first.offset);
  }

  #operand(operand: Positioned<Operand>, dot: Value): Value {
    if (--this.#left < 0) throw new TemplateError(`the template takes more than ${maxSteps} steps, the limit`, 0);
    switch (operand.kind) {
      case 'literal': return operand.value;
      case 'dot': return fieldOf(dot, operand.fields, operand.offset);
      case 'variable': {
        const value = operand.name === '' ? this.#root : this.#find(operand.name, operand.offset).value;
        return fieldOf(value, operand.fields, operand.offset);
      }
      case 'function': return this.#call(operand.name, [], operand.offset);
      case 'pipeline': return fieldOf(this.#pipeline(operand.pipeline, dot), operand.fields, operand.offset);
    }
  }

  #call(name: string, args: readonly Value[], offset: number): Value {
    const extra = Object.hasOwn(this.#extra, name) ? this.#extra[name] : undefined;
    if (extra) {
      const [only] = args;
      if (args.length !== 1 || typeof only !== 'string') throw new TemplateError(`${name} takes one name`, offset);
      return extra(only, offset);
    }
    const known = functions.get(name);
    if (!known) throw new TemplateError(`there is no function ${name}`, offset);
    if (args.length < known.least || args.length > known.most) throw new TemplateError(`${name} takes ${known.least === known.most ? known.least : `${known.least} or more`} arguments, not ${args.length}`, offset);
    const call: Call = known.call;
    return call(args, offset);
  }

  #set(name: string, value: Value, assign: boolean, offset: number): void {
    if (assign) this.#find(name, offset).value = value;
    else this.#variables.push({ name, value });
  }

  #find(name: string, offset: number): { value: Value } {
    const found = this.#variables.findLast((variable) => variable.name === name);
    if (!found) throw new TemplateError(`there is no variable $${name}`, offset);
    return found;
  }

  #write(text: string): void {
    this.text += text;
    if (this.text.length > maxLength) throw new TemplateError(`the template makes more than ${maxLength} characters, the limit`, 0);
  }
}

function fieldOf(value: Value, fields: readonly string[], offset: number): Value {
  let at = value;
  let path = '';
  for (const field of fields) {
    if (typeof at !== 'object' || at === null) throw new TemplateError(`${path === '' ? 'what stands here' : path} has no fields`, offset);
    // As in Swarm, a label that is not there is a mistake.
    if (!Object.hasOwn(at, field)) throw new TemplateError(`there is no ${path}.${field}`, offset);
    at = at[field];
    path += `.${field}`;
  }
  return at;
}

/** Maps by key; a number counts from 0. */
function entriesOf(over: Value, offset: number): Iterable<readonly [Value, Value]> {
  if (typeof over === 'object' && over !== null) return Object.entries(over).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (typeof over === 'number') return Array.from({ length: Math.min(Math.max(0, Math.floor(over)), maxSteps + 1) }, (_, index) => [index, index] as const);
  if (over === null || over === undefined || over === '') return [];
  throw new TemplateError('range goes over maps and numbers', offset);
}
