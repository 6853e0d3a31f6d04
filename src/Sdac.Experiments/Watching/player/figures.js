// The figures of the present moment, and the action as bars around zero.
import { surface } from './surface.js';

const thousands = (value, places) =>
  value.toLocaleString('en', { minimumFractionDigits: places, maximumFractionDigits: places });
const shown = (value) => thousands(value, Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 2 : 3);

export { shown };

export function createFigures(list, hasSpeed) {
  const entry = (title, large) => {
    const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
    dt.textContent = title;
    if (large) dt.className = dd.className = 'large';
    list.append(dt, dd);
    return dd;
  };
  const [total, reward, step] = [entry('return', true), entry('reward'), entry('step')];
  const speed = hasSpeed ? entry('speed') : null;
  const canvas = document.createElement('canvas');
  canvas.title = 'the action, each component from -1 to 1';
  list.append(canvas);
  const bars = surface(canvas);

  function drawAction({ values, columns, rows }, row) {
    const { draw, size, color } = bars;
    const { width, height } = size;
    const [each, middle] = [width / columns, height / 2];
    draw.clearRect(0, 0, width, height);
    draw.fillStyle = color('faint');
    draw.fillRect(0, middle - 0.5, width, 1);
    draw.fillStyle = color('accent');
    for (let i = 0; i < columns && row < rows; i++) {
      const value = Math.min(Math.max(values[row * columns + i], -1), 1);
      draw.fillRect(i * each + each * 0.14, middle, each * 0.72, -value * (middle - 1));
    }
  }

  return {
    resize: (ratio) => bars.resize(canvas.clientWidth, canvas.clientHeight, ratio),
    draw(episode, seconds, metres) {
      const done = episode.step(seconds);
      total.textContent = shown(episode.sums[done]);
      reward.textContent = done > 0 ? shown(episode.rewards[done - 1]) : '–';
      step.textContent = `${thousands(done, 0)} / ${thousands(episode.length, 0)}`;
      if (speed) speed.textContent = metres === null ? '–' : `${thousands(metres, 2)} m/s`;
      drawAction(episode.actions, Math.min(done, episode.length - 1));
    },
  };
}
