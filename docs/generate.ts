/** Writes what is made from tables: `node docs/generate.ts`. A test fails when it was forgotten. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderSchema, renderTypes } from '../model/stack/schema/canonical.ts';
import { renderDocs } from '../model/stack/schema/docs.ts';

const types = join(import.meta.dirname, '../model/stack/gen');
mkdirSync(types, { recursive: true });
writeFileSync(join(import.meta.dirname, 'compose.md'), renderDocs());
writeFileSync(join(import.meta.dirname, 'compose.schema.json'), renderSchema());
writeFileSync(join(types, 'compose.ts'), renderTypes());
