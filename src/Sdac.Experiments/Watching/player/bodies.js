// A scene of bodies in three dimensions, drawn by three.js.
import {
  Color, DirectionalLight, Fog, HemisphereLight, NeutralToneMapping, PCFShadowMap, PerspectiveCamera, Quaternion, Scene,
  Vector3, WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { smoothed } from './episode.js';
import { ground } from './ground.js';
import { bodyColors } from './palette.js';
import { bodyGroup, place, reach } from './shapes.js';

const POSE = 7;
const FIELD = 34; // of view, degrees
const THEMES = {
  light: { sky: '#dfe6ee', floor: { light: '#f4f6f9', dark: '#dbe2ea', line: '#c6d0dc' }, ambient: 2.1, sun: 2.3 },
  dark: { sky: '#11161d', floor: { light: '#303b49', dark: '#252e3a', line: '#43526a' }, ambient: 1.7, sun: 2.4 },
};

/** The moving shapes at the start of an episode: their middle, how far they reach from it, and their lowest point. */
function extent(scene, poses) {
  const [low, high] = [new Vector3(1, 1, 1).multiplyScalar(Infinity), new Vector3(1, 1, 1).multiplyScalar(-Infinity)];
  for (const shape of scene.shapes) {
    if (shape.kind === 'plane' || shape.body === 0) continue;
    const at = (shape.body - 1) * POSE;
    const middle = bodyPoint(poses.values, at, shape.pose);
    const far = reach(shape);
    low.min(middle.clone().subScalar(far));
    high.max(middle.addScalar(far));
  }
  if (low.x > high.x) return { middle: new Vector3(), size: new Vector3(1, 1, 1), radius: 1 };
  const size = high.clone().sub(low);
  return { middle: low.add(high).multiplyScalar(0.5), size, radius: 0.5 * size.length() };
}

/** A point of a body, whose pose stands at a place of an array, in the world. */
function bodyPoint(values, at, [x, y, z]) {
  const [w, qx, qy, qz] = values.subarray(at + 3, at + POSE);
  return new Vector3(x, y, z).applyQuaternion(new Quaternion(qx, qy, qz, w)).add(new Vector3().fromArray(values, at));
}

/** Where the floor is: a plane's height, or a little below all that moves where there is none. */
function floorHeight(scene, poses, radius) {
  const plane = scene.shapes.find((shape) => shape.kind === 'plane');
  if (plane) return plane.pose[2];
  let lowest = Infinity;
  for (const shape of scene.shapes.filter(({ body }) => body > 0)) {
    const far = reach(shape);
    for (let row = 0; row < poses.rows; row += 4) {
      const z = bodyPoint(poses.values, row * poses.columns + (shape.body - 1) * POSE, shape.pose).z;
      lowest = Math.min(lowest, z - far);
    }
  }
  return lowest - 0.15 * radius;
}

/** Where the camera follows to, x, y, z of every frame: where the body is, without its trembling and hopping. */
function path(scene, episode) {
  if (scene.followed === 0) return null;
  const frames = (seconds) => Math.round((seconds / episode.end) * (episode.frames - 1));
  return [0.35, 0.35, 0.9].map((seconds, axis) =>
    smoothed(episode.poses, (scene.followed - 1) * POSE + axis, frames(seconds)));
}

export function createBodies(canvas, recording, first) {
  const { scene } = recording;
  const renderer = new WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
  renderer.shadowMap.enabled = true;
  renderer.shadowMap.type = PCFShadowMap;
  renderer.toneMapping = NeutralToneMapping;
  const world = new Scene();
  const camera = new PerspectiveCamera(FIELD, 1, 0.01, 1000);
  camera.up.set(0, 0, 1);
  const controls = new OrbitControls(camera, canvas);
  controls.enableDamping = true;

  const { middle, size, radius } = extent(scene, first.poses);
  const tile = [0.05, 0.1, 0.25, 0.5, 1, 2].findLast((width) => width <= 1.2 * radius) ?? 0.05;
  const height = floorHeight(scene, first.poses, radius);
  const floor = ground(tile, height);
  world.add(floor.mesh);
  const ambient = new HemisphereLight('#ffffff', '#b4bac4', 1);
  const sun = new DirectionalLight('#fff4e3', 2);
  const rim = new DirectionalLight('#a9c8ff', 0.7);
  world.add(ambient, sun, sun.target, rim, rim.target);
  sun.castShadow = true;
  sun.shadow.mapSize.set(2048, 2048);
  sun.shadow.radius = 3;
  sun.shadow.normalBias = 0.02 * radius;
  const wide = 2.4 * radius;
  Object.assign(sun.shadow.camera, { left: -wide, right: wide, bottom: -wide, top: wide, near: 0.1 * radius, far: 14 * radius });

  const colors = bodyColors(scene);
  const groups = colors.map((color, body) =>
    bodyGroup(scene.shapes.filter((shape) => shape.body === body), color, body));
  groups.forEach((group) => world.add(group));

  let paths = path(scene, first);
  const start = new Vector3(...(paths ?? [[0], [0], [0]]).map((values) => values[0]));
  const anchor = start.clone(); // where the followed body is
  const state = { follow: true, home: null };

  function lookFromHome() {
    const flat = size.z < 0.35 * Math.max(size.x, size.y);
    const elevation = flat ? 0.95 : 0.24;
    const tall = canvas.clientWidth / canvas.clientHeight;
    const distance = ((flat ? 1.5 : 1.08) * radius) / Math.sin((FIELD * Math.PI) / 360) / Math.min(1, tall * 0.85);
    const around = flat ? -Math.PI / 2 : -Math.PI / 2 + 0.32;
    controls.target.copy(middle).sub(start).add(anchor);
    controls.target.z -= 0.14 * radius; // the panels lie below
    camera.position.set(
      Math.cos(around) * Math.cos(elevation), Math.sin(around) * Math.cos(elevation), Math.sin(elevation))
      .multiplyScalar(distance).add(controls.target);
    camera.near = distance / 100;
    camera.far = 100 * distance;
    world.fog.near = 3 * distance;
    world.fog.far = 14 * distance;
    camera.updateProjectionMatrix();
  }

  function follow(episode, { before, after, part }) {
    if (!paths) return;
    const now = new Vector3(...paths.map((values) => values[before] + (values[after] - values[before]) * part));
    if (state.follow) {
      const moved = now.clone().sub(anchor);
      camera.position.add(moved);
      controls.target.add(moved);
    }
    anchor.copy(now);
  }

  const aim = (light, x, y, z) => {
    light.target.position.copy(middle).sub(start).add(anchor);
    light.position.set(x, y, z).multiplyScalar(5 * radius).add(light.target.position);
  };

  world.fog = new Fog('#000', 1, 10);

  return {
    resize(width, height, ratio) {
      renderer.setPixelRatio(ratio);
      renderer.setSize(width, height, false);
      camera.aspect = width / height;
      camera.updateProjectionMatrix();
      if (!state.home) lookFromHome();
      state.home = true;
    },
    theme(name) {
      const theme = THEMES[name];
      world.background = new Color(theme.sky);
      world.fog.color.set(theme.sky);
      floor.paint(theme.floor);
      ambient.intensity = theme.ambient;
      sun.intensity = theme.sun;
    },
    open(episode) {
      paths = path(scene, episode);
    },
    follows: (yes) => (state.follow = yes ?? state.follow),
    home: lookFromHome,
    /** A camera that stands still: where it is and what it looks at. */
    stand([x, y, z, ...target]) {
      state.follow = false;
      controls.enableDamping = false;
      camera.position.set(x, y, z);
      controls.target.set(...target);
    },
    draw(episode, seconds) {
      const where = episode.between(seconds);
      const { values, columns } = episode.poses;
      groups.forEach((group, body) => {
        if (body === 0) return;
        const at = (body - 1) * POSE;
        place(group, values, where.before * columns + at, where.after * columns + at, where.part);
      });
      follow(episode, where);
      controls.update();
      camera.position.z = Math.max(camera.position.z, height + 0.05 * radius);
      floor.under(controls.target.x, controls.target.y);
      aim(sun, -0.4, -0.85, 1.1);
      aim(rim, 0.6, 0.8, 0.35);
      renderer.render(world, camera);
    },
    /** Metres a second of the followed body; null where it is fixed in place. */
    speed(episode, seconds) {
      if (!paths || episode.frames < 3) return null;
      const plan = paths.slice(0, 2);
      const travelled = Math.max(...plan.map((values) => Math.max(...values) - Math.min(...values)));
      if (travelled < 0.5 * radius) return null;
      const { before } = episode.between(seconds);
      const [a, b] = [Math.max(before - 1, 0), Math.min(before + 1, episode.frames - 1)];
      const time = episode.moment(b) - episode.moment(a);
      return Math.hypot(...plan.map((values) => values[b] - values[a])) / time;
    },
  };
}
