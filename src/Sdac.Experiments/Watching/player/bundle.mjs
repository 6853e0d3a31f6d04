// node bundle.mjs OUT: writes OUT/solid.html (with three.js) and OUT/flat.html (without): pages that lack nothing but their
// title and recording, which src/Sdac.Experiments/Watching/WatchPage.fs puts in.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, transform } from 'esbuild';

const [out] = process.argv.slice(2);
const here = import.meta.dirname;
const text = (name) => readFileSync(join(here, name), 'utf8');

// inside a page a script ends at the first of these words, wherever it stands
const inPage = (script) => script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');

async function player(solid) {
  const bundled = await build({
    entryPoints: [join(here, 'main.js')],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    legalComments: 'eof',
    charset: 'utf8',
    define: { SOLID: String(solid) },
    write: false,
  });
  return inPage(bundled.outputFiles[0].text);
}

mkdirSync(out, { recursive: true });
const style = (await transform(text('page.css'), { loader: 'css', minify: true })).code;
for (const [name, solid] of [['solid', true], ['flat', false]]) {
  const script = await player(solid);
  // functions, since a replacement's text has its own meaning for $
  const page = text('page.html').replace('{{style}}', () => style.trim()).replace('{{player}}', () => script.trim());
  writeFileSync(join(out, `${name}.html.new`), page);
  renameSync(join(out, `${name}.html.new`), join(out, `${name}.html`));
}
