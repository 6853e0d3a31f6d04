// Tracks as the page carries them: see ../Packing.fs, which packs.

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Numbers by row and column: { rows, columns, values } with values a Float32Array, row by row. */
export async function unpack(track) {
  const { rows, columns, units } = track;
  const count = rows * columns;
  const planes = await inflate(track.data);
  const values = new Float32Array(count);
  for (let column = 0; column < columns; column++) {
    const unit = units[column % units.length];
    let whole = 0;
    for (let row = 0; row < rows; row++) {
      const at = column * rows + row;
      const zigzag =
        planes[at] | (planes[at + count] << 8) | (planes[at + 2 * count] << 16) | (planes[at + 3 * count] << 24);
      whole = (whole + ((zigzag >>> 1) ^ -(zigzag & 1))) | 0;
      values[row * columns + column] = whole * unit;
    }
  }
  return { rows, columns, values };
}
