// The layers' bytes, one after the other, plane by plane of one byte a row; deflated.
async function unpack() {
  const text = $("planes").textContent;
  $("planes").remove();
  let bytes;
  if (Uint8Array.fromBase64) bytes = Uint8Array.fromBase64(text);
  else {
    const binary = atob(text);
    bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return reader(new Uint8Array(await new Response(stream).arrayBuffer()));
}

// Takes planes off the front.
function reader(bytes) {
  let at = 0;
  return {
    plane(n) {
      at += n;
      return bytes.subarray(at - n, at);
    },
    // Numbers of `size` bytes, the low byte first, into every `stride`-th place of `out`.
    numbers(n, size, out = new Uint32Array(n), offset = 0, stride = 1) {
      for (let b = 0; b < size; b++) {
        const source = this.plane(n);
        for (let i = 0; i < n; i++) out[stride * i + offset] |= source[i] << (8 * b);
      }
      return out;
    },
    // x, y, z on the grid.
    positions(n, out, offset = 0, stride = 3) {
      for (let axis = 0; axis < 3; axis++) this.numbers(n, 2, out, offset + axis, stride);
      return out;
    },
  };
}

const UNPACK = {
  points: unpackPoints,
  triangles(layer, from) {
    const corners = from.positions(layer.vertices, new Uint16Array(3 * layer.vertices));
    const faces = [0, 1, 2].map(() => from.numbers(layer.rows, 4));
    const own = from.numbers(layer.rows, layer.labelBytes);
    // Every triangle has its own three vertices, which bear its instance.
    const positions = new Uint16Array(9 * layer.rows), labels = new Uint32Array(3 * layer.rows);
    for (let f = 0; f < layer.rows; f++) {
      for (let k = 0; k < 3; k++) {
        for (let axis = 0; axis < 3; axis++) positions[9 * f + 3 * k + axis] = corners[3 * faces[k][f] + axis];
        labels[3 * f + k] = own[f];
      }
    }
    return { positions, labels };
  },
  lines(layer, from) {
    const grid = new Uint16Array(6 * layer.rows);
    from.positions(layer.rows, grid, 0, 6);
    from.positions(layer.rows, grid, 3, 6);
    return { ends: Float32Array.from(grid, (v, k) => layer.low[k % 3] + layer.unit[k % 3] * v), labels: from.numbers(layer.rows, layer.labelBytes) };
  },
  camera: () => ({ labels: [] }),
  // Two numbers a pixel: who is seen there, and who reaches there unseen.
  image(layer, from) {
    const labels = from.numbers(layer.rows, layer.labelBytes, new Uint32Array(2 * layer.rows), 0, 2);
    if (layer.hiddenBytes) from.numbers(layer.rows, layer.hiddenBytes, labels, 1, 2);
    return { labels, outlines: layer.outlines && UNPACK.lines(layer.outlines, from) };
  },
};
