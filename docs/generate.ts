/** Writes the pages that are made from tables: `node docs/generate.ts`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderDocs } from '../model/stack/schema/docs.ts';

writeFileSync(join(import.meta.dirname, 'compose.md'), renderDocs());
