// A canvas to draw on in two dimensions, in the page's colours.

export function surface(canvas) {
  const draw = canvas.getContext('2d');
  const size = { width: 1, height: 1 };
  return {
    draw,
    size,
    resize(width, height, ratio) {
      Object.assign(size, { width, height });
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    },
    color: (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(),
  };
}

/** What lies free between the page's panels: left, top, right, bottom. */
export function free({ width, height }) {
  const [about, episodes, figures] = ['about', 'episodes', 'figures'].map((id) =>
    document.getElementById(id).getBoundingClientRect());
  if (about.width === 0) return [12, 12, width - 12, height - 12]; // all panels are hidden
  const below = episodes.width > width / 2; // the list of episodes lies across a narrow page, else at the right
  return [
    16,
    (below ? episodes : about).bottom + 12,
    (below || episodes.width === 0 ? width - 4 : episodes.left) - 12,
    figures.top - 12,
  ];
}
