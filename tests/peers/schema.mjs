// Checks JSON on standard input against a JSON schema: `node schema.mjs FILE`. Exit status 0 if it
// conforms; what is wrong with it stands on standard error.

import { readFileSync } from 'node:fs';
import Ajv from 'ajv/dist/2020.js';

const schema = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const ajv = new Ajv({ allErrors: true });
if (!ajv.validate(schema, JSON.parse(readFileSync(0, 'utf8')))) {
  console.error(ajv.errorsText());
  process.exit(1);
}
