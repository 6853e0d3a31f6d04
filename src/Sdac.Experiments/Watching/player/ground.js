// An endless checkered floor: a large square that goes with the camera in whole tiles.
import { CanvasTexture, Mesh, MeshStandardMaterial, PlaneGeometry, RepeatWrapping, SRGBColorSpace } from 'three';

const TILES = 120; // of the square, even

function checker({ light, dark, line }) {
  const size = 256;
  const canvas = Object.assign(document.createElement('canvas'), { width: size, height: size });
  const draw = canvas.getContext('2d');
  draw.fillStyle = light;
  draw.fillRect(0, 0, size, size);
  draw.fillStyle = dark;
  draw.fillRect(0, 0, size / 2, size / 2);
  draw.fillRect(size / 2, size / 2, size / 2, size / 2);
  draw.strokeStyle = line;
  draw.lineWidth = 2;
  for (const at of [0, size / 2, size]) {
    draw.strokeRect(at, -4, size, size + 8);
    draw.strokeRect(-4, at, size + 8, size);
  }
  const texture = new CanvasTexture(canvas);
  texture.colorSpace = SRGBColorSpace;
  texture.wrapS = texture.wrapT = RepeatWrapping;
  texture.repeat.set(TILES / 2, TILES / 2);
  texture.anisotropy = 16;
  return texture;
}

/** The floor's mesh, `tile` wide tiles at a height. */
export function ground(tile, height) {
  const mesh = new Mesh(
    new PlaneGeometry(TILES * tile, TILES * tile),
    new MeshStandardMaterial({ roughness: 0.95, metalness: 0 }),
  );
  mesh.position.z = height;
  mesh.receiveShadow = true;
  return {
    mesh,
    paint(colors) {
      mesh.material.map?.dispose();
      mesh.material.map = checker(colors);
      mesh.material.needsUpdate = true;
    },
    under(x, y) {
      const step = 2 * tile;
      mesh.position.x = Math.round(x / step) * step;
      mesh.position.y = Math.round(y / step) * step;
    },
  };
}
