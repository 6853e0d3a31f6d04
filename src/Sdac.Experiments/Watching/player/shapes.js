// Shapes of a scene as three.js has them. Lengths and the upward z axis are MuJoCo's; only shapes along an axis are turned.
import {
  BoxGeometry, BufferAttribute, BufferGeometry, CapsuleGeometry, Color, CylinderGeometry, Group, Mesh,
  MeshStandardMaterial, Quaternion, SphereGeometry, Vector3,
} from 'three';

const alongZ = (geometry) => geometry.rotateX(Math.PI / 2); // three.js builds along y

const GEOMETRIES = {
  sphere: ([r]) => new SphereGeometry(r, 32, 24),
  capsule: ([r, half]) => alongZ(new CapsuleGeometry(r, 2 * half, 10, 28)),
  cylinder: ([r, half]) => alongZ(new CylinderGeometry(r, r, 2 * half, 40)),
  box: ([x, y, z]) => new BoxGeometry(2 * x, 2 * y, 2 * z),
  ellipsoid: ([x, y, z]) => new SphereGeometry(1, 36, 28).scale(x, y, z),
};

function meshGeometry({ points, faces }) {
  const geometry = new BufferGeometry();
  geometry.setAttribute('position', new BufferAttribute(Float32Array.from(points), 3));
  geometry.setIndex(Array.from(faces));
  const flat = geometry.toNonIndexed();
  flat.computeVertexNormals();
  return flat;
}

/** How far a shape reaches from its own middle. */
export function reach({ kind, size, points }) {
  if (kind === 'mesh') return Math.max(...points.map(Math.abs), 0);
  if (kind === 'capsule') return size[0] + size[1];
  if (kind === 'cylinder') return Math.hypot(size[0], size[1]);
  if (kind === 'box') return Math.hypot(...size);
  return Math.max(...size.slice(0, kind === 'sphere' ? 1 : 3));
}

/** A body's group with its shapes on it. */
export function bodyGroup(shapes, color, body) {
  const group = new Group();
  for (const shape of shapes) {
    if (shape.kind === 'plane') continue;
    const [r, g, b, opacity] = shape.color.length ? shape.color : [-1, 0, 0, 1];
    const material = new MeshStandardMaterial({
      color: r < 0 ? new Color(color) : new Color().setRGB(r, g, b, 'srgb'),
      roughness: 0.5, metalness: 0.04, transparent: opacity < 1, opacity,
      polygonOffset: true, polygonOffsetUnits: -4 * (body % 16), // parts of one radius meet at joints: one of them wins
    });
    const mesh = new Mesh(shape.kind === 'mesh' ? meshGeometry(shape) : GEOMETRIES[shape.kind](shape.size), material);
    const [x, y, z, qw, qx, qy, qz] = shape.pose;
    mesh.position.set(x, y, z);
    mesh.quaternion.set(qx, qy, qz, qw);
    mesh.castShadow = opacity === 1;
    mesh.receiveShadow = true;
    group.add(mesh);
  }
  return group;
}

/** Places a group between two poses [x, y, z, w, x, y, z] that stand at two places of an array. */
export function place(group, values, from, to, part) {
  group.position.fromArray(values, from);
  group.quaternion.set(values[from + 4], values[from + 5], values[from + 6], values[from + 3]).normalize();
  if (part === 0) return;
  group.position.lerp(new Vector3().fromArray(values, to), part);
  group.quaternion.slerp(
    new Quaternion(values[to + 4], values[to + 5], values[to + 6], values[to + 3]).normalize(), part);
}
