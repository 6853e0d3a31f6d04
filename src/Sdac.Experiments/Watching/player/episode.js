import { unpack } from './unpack.js';

/** A recorded episode, unpacked: frames are every `stride`-th step, and the last one. */
export async function open(recording, index) {
  const packed = recording.episodes[index];
  const tracks = {};
  for (const name of ['poses', 'rewards', 'actions', 'observations'])
    tracks[name] = packed[name] ? await unpack(packed[name]) : null;
  const rewards = tracks.rewards.values;
  const sums = new Float64Array(packed.length + 1);
  for (let k = 0; k < packed.length; k++) sums[k + 1] = sums[k] + rewards[k];
  const frames = (tracks.poses ?? tracks.observations).rows;
  const { dt, stride } = recording;
  return {
    ...tracks,
    index,
    frames,
    rewards,
    sums,
    length: packed.length,
    end: packed.length * dt,
    terminated: packed.terminated,
    total: packed.return,
    /** Where in the frames a moment lies: the frame before it and how far it is on to the next, 0 to 1. */
    between(seconds) {
      const step = Math.min(Math.max(seconds / dt, 0), packed.length);
      const last = frames - 1;
      const before = Math.min(Math.floor(step / stride + 1e-6), last);
      if (before === last) return { before: last, after: last, part: 0 };
      const [from, to] = [before * stride, before + 1 === last ? packed.length : (before + 1) * stride];
      const part = Math.min(Math.max((step - from) / (to - from), 0), 1);
      return part < 1e-4 ? { before, after: before, part: 0 } : { before, after: before + 1, part };
    },
    /** The moment of a frame. */
    moment: (frame) => Math.min(frame * stride, packed.length) * dt,
    /** How many steps are done at a moment. */
    step: (seconds) => Math.min(Math.floor(seconds / dt + 1e-6), packed.length),
  };
}

/** A column's numbers, each the mean of those up to `reach` frames around it. */
export function smoothed({ rows, columns, values }, column, reach) {
  const sums = new Float64Array(rows + 1);
  for (let row = 0; row < rows; row++) sums[row + 1] = sums[row] + values[row * columns + column];
  return Float32Array.from({ length: rows }, (_, row) => {
    const half = Math.min(reach, row, rows - 1 - row);
    return (sums[row + half + 1] - sums[row - half]) / (2 * half + 1);
  });
}
