// Renders a Vega-Lite specification to SVG: node render.mjs SPEC.json > PICTURE.svg
import { readFileSync } from 'node:fs';
import * as vega from 'vega';
import { compile } from 'vega-lite';

const specification = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
process.stdout.write(await view.toSVG());
