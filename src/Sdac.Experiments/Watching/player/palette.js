// Colours by body: the trunk has one, each limb its own, lighter towards its end.

const TRUNK = [30, 0.92, 0.6];
const OTHER = [350, 0.8, 0.62];
const LIMBS = [[212, 0.78, 0.58], [172, 0.58, 0.47], [264, 0.62, 0.68], [332, 0.66, 0.63], [138, 0.42, 0.52], [46, 0.78, 0.56]];

const css = ([hue, saturation, light]) => `hsl(${hue}, ${Math.round(saturation * 100)}%, ${Math.round(light * 100)}%)`;

/** A colour for every body, by its number from 1; entry 0 is the world's. */
export function bodyColors(scene) {
  const parents = [-1, ...scene.bodies.map((body) => body.parent)];
  const children = parents.map((_, body) => parents.flatMap((parent, child) => (parent === body ? [child] : [])));
  const branches = (body) => children[body].length > 1 || children[body].some(branches);
  const colors = ['hsl(220, 10%, 55%)'];
  let limb = 0;
  const paint = (body, inTrunk, color, depth) => {
    // a head is none of the limbs: nothing hangs on it, and it has siblings
    const head = children[body].length === 0 && children[parents[body]].length > 1;
    const trunk = inTrunk && (body === scene.followed || branches(body) || head);
    const base = trunk || !inTrunk ? color : LIMBS[limb++ % LIMBS.length];
    const step = trunk ? 0 : depth;
    // down a limb the hue turns a little and the colour gets lighter, so that joints show
    colors[body] = css([base[0] + 9 * step, base[1], Math.min(base[2] + 0.055 * step, 0.8)]);
    for (const child of children[body]) paint(child, trunk, base, trunk ? 0 : depth + 1);
  };
  for (const root of children[0]) {
    if (root === scene.followed) paint(root, true, TRUNK, 0);
    else paint(root, false, OTHER, 0);
  }
  return colors;
}
