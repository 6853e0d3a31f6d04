// Renders Vega-Lite specifications to SVG, a zero behind each: node render.mjs SPEC.json...
import { readFileSync } from 'node:fs';
import * as vega from 'vega';
import { compile } from 'vega-lite';

for (const file of process.argv.slice(2)) {
  const specification = JSON.parse(readFileSync(file, 'utf8'));
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  process.stdout.write(`${await view.toSVG()}\0`);
}
