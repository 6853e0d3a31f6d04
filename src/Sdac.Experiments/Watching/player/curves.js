// A task of numbers: every observation against time, small pictures with one clock.
import { free, surface } from './surface.js';

const MOST = 36; // pictures
const HEAD = 20; // pixels above each one's curve

export function createCurves(canvas) {
  const { draw, size, resize, color } = surface(canvas);

  function layout(count, width, height) {
    let best = { columns: 1, rows: count, quality: -1 };
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const [w, h] = [width / columns, height / rows];
      const quality = Math.min(w / 2.6, h); // about 2.6 times as wide as high
      if (quality > best.quality) best = { columns, rows, quality };
    }
    return best;
  }

  function panel(episode, column, [x, y, w, h], row) {
    const { values, columns, rows } = episode.observations;
    let [low, high] = [Infinity, -Infinity];
    for (let r = 0; r < rows; r++) {
      low = Math.min(low, values[r * columns + column]);
      high = Math.max(high, values[r * columns + column]);
    }
    const room = Math.max(high - low, 1e-9) * 0.08;
    [low, high] = [low - room, high + room];
    const at = (r) => [
      x + (w * r) / Math.max(rows - 1, 1),
      y + h - (h * (values[r * columns + column] - low)) / (high - low),
    ];
    draw.fillStyle = color('table');
    draw.beginPath();
    draw.roundRect(x, y - HEAD, w, h + HEAD, 5);
    draw.fill();
    if (low < 0 && high > 0) line([[x, y + (h * high) / (high - low)], [x + w, y + (h * high) / (high - low)]], 'table-line', 1);
    const points = Array.from({ length: rows }, (_, r) => at(r));
    line(points, 'faint', 1.5);
    line(points.slice(0, row + 1), 'accent', 2);
    const [cx, cy] = at(row);
    draw.fillStyle = color('accent');
    draw.beginPath();
    draw.arc(cx, cy, 3.5, 0, 2 * Math.PI);
    draw.fill();
    draw.font = '12px system-ui, sans-serif';
    draw.fillStyle = color('soft');
    draw.textAlign = 'left';
    draw.fillText(`obs ${column}`, x + 8, y - HEAD + 16);
    draw.textAlign = 'right';
    draw.fillStyle = color('text');
    draw.fillText(values[row * columns + column].toPrecision(4), x + w - 8, y - HEAD + 16);
  }

  function line(points, name, width) {
    draw.strokeStyle = color(name);
    draw.lineWidth = width;
    draw.lineJoin = 'round';
    draw.beginPath();
    points.forEach(([x, y]) => draw.lineTo(x, y));
    draw.stroke();
  }

  return {
    resize,
    theme() {},
    open() {},
    draw(episode, seconds) {
      draw.clearRect(0, 0, size.width, size.height);
      const [left, top, right, bottom] = free(size);
      const count = Math.min(episode.observations.columns, MOST);
      const { columns, rows } = layout(count, right - left, bottom - top);
      const gap = 10;
      const [w, h] = [(right - left + gap) / columns - gap, Math.min((bottom - top + gap) / rows - gap, 260)];
      const { before } = episode.between(seconds);
      for (let i = 0; i < count; i++) {
        const [x, y] = [left + (i % columns) * (w + gap), top + Math.floor(i / columns) * (h + gap)];
        panel(episode, i, [x, y + HEAD, w, h - HEAD], before);
      }
    },
  };
}
