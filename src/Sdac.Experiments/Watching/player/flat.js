// A table seen from above, x to the right and y down.
import { free, surface } from './surface.js';

const POSE = 3;
const STYLES = {
  goal: { fill: 'goal', line: 'goal-line' },
  block: { fill: 'block', line: 'block-line' },
  agent: { fill: 'agent', line: 'agent-line' },
  target: { line: 'target' },
};
const TRAIL = 12; // frames

export function createFlat(canvas, { scene }) {
  const { draw, size, resize, color } = surface(canvas);
  const [width, height] = scene.table;

  function poseOf(values, columns, { before, after, part }, body) {
    if (body === 0) return [0, 0, 0];
    const at = (body - 1) * POSE;
    const [a, b] = [before * columns + at, after * columns + at];
    return [0, 1, 2].map((i) => values[a + i] + (values[b + i] - values[a + i]) * part);
  }

  function trace(shape) {
    draw.beginPath();
    if (shape.kind === 'disc') draw.arc(0, 0, shape.size[0], 0, 2 * Math.PI);
    if (shape.kind === 'polygon') {
      for (let i = 0; i < shape.points.length; i += 2) draw.lineTo(shape.points[i], shape.points[i + 1]);
      draw.closePath();
    }
    if (shape.kind === 'cross') {
      const [half] = shape.size;
      for (const [x, y] of [[half, half], [half, -half]]) {
        draw.moveTo(-x, -y);
        draw.lineTo(x, y);
      }
    }
  }

  function trail(values, columns, { before }, body) {
    for (let frame = Math.max(before - TRAIL, 0); frame < before; frame++) {
      const at = frame * columns + (body - 1) * POSE;
      draw.globalAlpha = (0.35 * (TRAIL - before + frame)) / TRAIL;
      draw.beginPath();
      draw.arc(values[at], values[at + 1], 4, 0, 2 * Math.PI);
      draw.fill();
    }
    draw.globalAlpha = 1;
  }

  // a body's polygons are filled first and outlined as one: no line where they touch
  function paint(shapes, pose) {
    const style = STYLES[shapes[0].name] ?? { fill: 'block', line: 'block-line' };
    draw.save();
    draw.translate(pose[0], pose[1]);
    draw.rotate(pose[2]);
    draw.lineJoin = draw.lineCap = 'round';
    draw.lineWidth = 4;
    draw.strokeStyle = color(style.line);
    for (const shape of shapes) {
      trace(shape);
      draw.stroke();
    }
    if (style.fill) {
      draw.fillStyle = color(style.fill);
      for (const shape of shapes) {
        trace(shape);
        draw.fill();
      }
    }
    draw.restore();
  }

  return {
    resize,
    theme() {},
    open() {},
    draw(episode, seconds) {
      const { values, columns } = episode.poses;
      const where = episode.between(seconds);
      draw.clearRect(0, 0, size.width, size.height);
      const [left, top, right, bottom] = free(size);
      const scale = Math.max(Math.min((right - left) / width, (bottom - top) / height), 0.05);
      draw.save();
      draw.translate((left + right - scale * width) / 2, (top + bottom - scale * height) / 2);
      draw.scale(scale, scale);
      draw.fillStyle = color('table');
      draw.strokeStyle = color('table-line');
      draw.lineWidth = 3;
      draw.beginPath();
      draw.roundRect(0, 0, width, height, 6);
      draw.fill();
      draw.stroke();
      draw.clip();
      const kinds = [...new Set(scene.shapes.map(({ name, body }) => `${body} ${name}`))];
      for (const kind of kinds) {
        const shapes = scene.shapes.filter(({ name, body }) => `${body} ${name}` === kind);
        if (shapes[0].name === 'agent') {
          draw.fillStyle = color('agent');
          trail(values, columns, where, shapes[0].body);
        }
        paint(shapes, poseOf(values, columns, where, shapes[0].body));
      }
      draw.restore();
    },
  };
}
