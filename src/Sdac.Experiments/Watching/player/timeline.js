// The scrubber: rewards over the episode, the part that has been played in colour.
import { surface } from './surface.js';

export function createTimeline(canvas, input, onScrub) {
  const { draw, size, resize, color } = surface(canvas);
  let heights = [];
  input.addEventListener('input', () => onScrub(Number(input.value)));

  return {
    resize,
    open(episode) {
      input.max = String(episode.end);
      input.step = 'any';
      const columns = Math.max(Math.min(Math.round(size.width / 2), episode.length), 1);
      const means = Array.from({ length: columns }, (_, i) => {
        const from = Math.floor((i * episode.length) / columns);
        const to = Math.max(Math.floor(((i + 1) * episode.length) / columns), from + 1);
        return (episode.sums[to] - episode.sums[from]) / (to - from);
      });
      const sorted = [...means].sort((a, b) => a - b);
      const [low, high] = [Math.min(sorted[0], 0), Math.max(sorted[sorted.length - 1], 0)];
      heights = means.map((mean) => (mean - low) / Math.max(high - low, 1e-9));
    },
    draw(episode, seconds) {
      input.value = String(seconds);
      const { width, height } = size;
      const played = (width * seconds) / Math.max(episode.end, 1e-9);
      draw.clearRect(0, 0, width, height);
      const path = () => {
        draw.beginPath();
        draw.moveTo(0, height);
        heights.forEach((h, i) => {
          const y = height - 2 - h * (height - 6);
          draw.lineTo((width * i) / heights.length, y);
          draw.lineTo((width * (i + 1)) / heights.length, y);
        });
        draw.lineTo(width, height);
        draw.closePath();
      };
      draw.fillStyle = color('faint');
      path();
      draw.fill();
      draw.save();
      draw.beginPath();
      draw.rect(0, 0, played, height);
      draw.clip();
      draw.fillStyle = color('accent');
      path();
      draw.fill();
      draw.restore();
      draw.fillStyle = color('text');
      draw.fillRect(Math.min(Math.max(played - 1, 0), width - 2), 0, 2, height);
    },
  };
}
