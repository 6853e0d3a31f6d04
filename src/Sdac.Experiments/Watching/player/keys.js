// The keyboard: [keys, what is done, its argument, what the help says].
const KEYS = [
  [[' ', 'k'], 'play', null, 'play or pause', 'space'],
  [['ArrowLeft'], 'frame', -1, 'one frame back', '←'],
  [['ArrowRight'], 'frame', 1, 'one frame on', '→'],
  [['j'], 'jump', -1, 'a second back', 'J'],
  [['l'], 'jump', 1, 'a second on', 'L'],
  [['Home', '0'], 'edge', false, 'to the start', 'Home'],
  [['End'], 'edge', true, 'to the end', 'End'],
  [['ArrowUp', '>'], 'faster', 1, 'faster', '↑'],
  [['ArrowDown', '<'], 'faster', -1, 'slower', '↓'],
  [['n', 'PageDown'], 'episode', 1, 'next episode', 'N'],
  [['p', 'PageUp'], 'episode', -1, 'previous episode', 'P'],
  [['f'], 'follow', null, 'camera follows or stays', 'F', true],
  [['c'], 'home', null, 'camera back to its place', 'C', true],
  [['t'], 'theme', null, 'light or dark', 'T'],
  [['h'], 'bare', null, 'hide or show all panels', 'H'],
  [['Enter'], 'full', null, 'full screen', 'Enter'],
  [['?'], 'keys', null, 'these keys', '?'],
];

/** Binds the keys to `act(command, argument)` and lists them in a table. */
export function bindKeys(table, act, solid) {
  const valid = KEYS.filter(([, , , , , needsBodies]) => solid || !needsBodies);
  for (const [, , , meaning, key] of valid) {
    const row = table.insertRow();
    row.insertCell().innerHTML = `<kbd>${key}</kbd>`;
    row.insertCell().textContent = meaning;
  }
  window.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // a focused button or list has its own use for some keys
    const own = event.target.closest?.('select, dialog') || (event.target.closest?.('button') && [' ', 'Enter'].includes(event.key));
    const found = valid.find(([keys]) => keys.includes(event.key.length === 1 ? event.key.toLowerCase() : event.key));
    if (!found || (own && event.key !== '?')) return;
    event.preventDefault();
    act(found[1], found[2]);
  });
}
