// The page: one recording, its episodes, a clock, and whatever draws the task. esbuild knows SOLID when it bundles: pages
// without bodies are bundled without three.js.
import { createBodies } from './bodies.js';
import { createClock, SPEEDS } from './clock.js';
import { createCurves } from './curves.js';
import { open } from './episode.js';
import { createFigures, shown } from './figures.js';
import { createFlat } from './flat.js';
import { AGAIN, ICONS, PAUSE, PLAY } from './icons.js';
import { bindKeys } from './keys.js';
import { createTimeline } from './timeline.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const root = document.documentElement;

// an element's content is written when it changes, not at each of sixty paintings a second
const contents = {};
function show(id, html) {
  if (contents[id] !== html) $(id).innerHTML = contents[id] = html;
}

function viewOf(canvas, recording, first) {
  if (!recording.scene) return createCurves(canvas, recording);
  if (recording.scene.table.length) return createFlat(canvas, recording);
  if (SOLID) return createBodies(canvas, recording, first);
  throw new Error('this page was made without three.js');
}

function remembered() {
  try {
    return localStorage.getItem('watch-theme');
  } catch {
    return null; // storage is forbidden to pages that are opened as files, in some browsers
  }
}

async function start() {
  const recording = JSON.parse($('recording').textContent);
  const episodes = [];
  const episodeOf = async (i) => (episodes[i] ??= await open(recording, i));
  let current = await episodeOf(Math.min(Math.max(Number(query.get('episode') ?? 1) - 1, 0), recording.episodes.length - 1));

  const view = viewOf($('stage'), recording, current);
  const clock = createClock();
  const figures = createFigures($('figures'), (view.speed?.(current, 0) ?? null) !== null);
  const timeline = createTimeline($('rewards'), $('moment'), (seconds) => {
    clock.playing = false;
    clock.seconds = seconds;
    paint();
  });

  $('task').textContent = recording.task;
  $('facts').textContent = recording.facts.join(' · ');
  for (const [id, icon] of Object.entries(ICONS)) $(id).innerHTML = icon;
  if (!view.follows) {
    root.dataset.flat = 'yes';
    $('follow').hidden = $('home').hidden = $('mouse').hidden = true;
  }
  $('speed').append(...SPEEDS.map((speed) => new Option(`${speed}×`, String(speed))));
  $('episodes').append(...recording.episodes.map(episodeButton));
  $('episodes').hidden = recording.episodes.length < 2;

  function episodeButton(episode, i) {
    const button = document.createElement('button');
    button.append(...[`${i + 1}`, shown(episode.return), `${episode.length} steps`].map((text) =>
      Object.assign(document.createElement('span'), { textContent: text })));
    button.title = `Episode ${i + 1}: return ${shown(episode.return)}, ${episode.length} steps` +
      (episode.terminated ? ', ended by the task' : '');
    button.addEventListener('click', () => choose(i, true));
    return button;
  }

  async function choose(i, play) {
    if (i < 0 || i >= recording.episodes.length) return;
    current = await episodeOf(i);
    clock.seconds = 0;
    clock.playing = play;
    view.open(current);
    timeline.open(current);
    mark();
    paint();
  }

  function paint() {
    const { seconds, playing, speed } = clock;
    view.draw(current, seconds);
    timeline.draw(current, seconds);
    figures.draw(current, seconds, view.speed?.(current, seconds) ?? null);
    show('play', playing ? PAUSE : seconds >= current.end ? AGAIN : PLAY);
    show('time', `${seconds.toFixed(2)}<span class="long"> / ${current.end.toFixed(2)}</span> s`);
    if ($('speed').value !== String(speed)) $('speed').value = String(speed);
  }

  // what only a command changes
  function mark() {
    [...$('episodes').children].forEach((button, i) => button.setAttribute('aria-current', String(i === current.index)));
    if (view.follows) $('follow').setAttribute('aria-pressed', String(view.follows()));
  }

  function layout() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    root.style.setProperty('--below', `${$('about').getBoundingClientRect().bottom + 8}px`);
    view.resize(window.innerWidth, window.innerHeight, ratio);
    timeline.resize($('rewards').clientWidth, $('rewards').clientHeight, ratio);
    figures.resize(ratio);
    timeline.open(current);
    mark();
    paint();
  }

  function setTheme(name) {
    root.dataset.theme = name;
    view.theme(name);
  }

  const commands = {
    play() {
      if (!clock.playing && clock.seconds >= current.end) clock.seconds = 0;
      clock.playing = !clock.playing;
    },
    frame(places) {
      clock.playing = false;
      const { before, part } = current.between(clock.seconds);
      const frame = places < 0 && part > 0 ? before : before + places;
      clock.seconds = current.moment(Math.min(Math.max(frame, 0), current.frames - 1));
    },
    jump(seconds) {
      clock.seconds = Math.min(Math.max(clock.seconds + seconds, 0), current.end);
    },
    edge: (end) => (clock.seconds = end ? current.end : 0),
    faster: (places) => clock.faster(places),
    episode: (places) => choose(current.index + places, clock.playing),
    follow: () => view.follows?.(!view.follows()),
    home: () => view.home?.(),
    theme() {
      setTheme(root.dataset.theme === 'dark' ? 'light' : 'dark');
      try {
        localStorage.setItem('watch-theme', root.dataset.theme);
      } catch {
        // as above
      }
    },
    full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()),
    bare: () => (root.dataset.bare = root.dataset.bare === 'yes' ? 'no' : 'yes'),
    keys: () => ($('help').open ? $('help').close() : $('help').showModal()),
  };
  const act = (name, argument) => {
    commands[name](argument);
    mark();
    if (name === 'bare' || name === 'theme') layout();
    else paint();
  };

  $('play').addEventListener('click', () => act('play'));
  $('back').addEventListener('click', () => act('frame', -1));
  $('on').addEventListener('click', () => act('frame', 1));
  for (const id of ['follow', 'home', 'theme', 'full', 'keys']) $(id).addEventListener('click', () => act(id));
  $('speed').addEventListener('change', () => (clock.speed = Number($('speed').value)));
  bindKeys($('shortcuts'), act, Boolean(view.follows));
  window.addEventListener('resize', layout);

  const light = window.matchMedia?.('(prefers-color-scheme: light)').matches;
  setTheme(query.get('theme') ?? remembered() ?? (light ? 'light' : 'dark'));
  if (query.has('bare')) root.dataset.bare = 'yes';
  layout();

  // a page that is asked for one frame draws it and stops: for tests and pictures
  if (query.has('frame')) {
    if (query.has('camera')) view.stand?.(query.get('camera').split(',').map(Number));
    clock.seconds = current.moment(Math.min(Number(query.get('frame')), current.frames - 1));
    paint();
    document.title = `frame ${query.get('frame')} is drawn`;
    return;
  }

  clock.playing = !window.matchMedia?.('(prefers-reduced-motion: reduce)').matches;
  let last = null;
  const tick = (now) => {
    if (clock.advance(last === null ? 0 : Math.min(now - last, 100), current.end)) {
      clock.playing = false;
      if (current.index + 1 < recording.episodes.length) choose(current.index + 1, true);
    }
    last = now;
    paint();
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

start().catch((error) => {
  $('trouble').textContent = `This page cannot be shown: ${error.message}`;
  $('trouble').hidden = false;
  document.title = 'trouble';
});
