/** The few ANSI styles in use. Widths are counted without them. */
export type Style = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan' | 'dim' | 'bold';

const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

export type Paint = (style: Style | undefined, text: string) => string;

export function painter(color: boolean): Paint {
  return (style, text) => (color && style ? `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : text);
}

/** Colours told apart easily; the same name gets the same one in every run. */
export function styleOf(name: string): Style {
  const wheel: readonly Style[] = ['cyan', 'yellow', 'green', 'magenta', 'blue', 'red'];
  let hash = 0;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return wheel[hash % wheel.length] ?? 'cyan';
}

export function stateStyle(state: string): Style | undefined {
  switch (state) {
    case 'running':
    case 'ready':
    case 'succeeded':
    case 'completed':
      return 'green';
    case 'pending':
    case 'assigned':
    case 'preparing':
    case 'starting':
    case 'restarting':
    case 'stopping':
    case 'updating':
    case 'rolling-back':
    case 'unknown':
    case 'drain':
    case 'pause':
      return 'yellow';
    case 'failed':
    case 'lost':
    case 'down':
    case 'paused':
      return 'red';
    default:
      return undefined;
  }
}

/** Text that came from outside, without what could move the cursor or recolour a terminal. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}
