async function unpackPlanes() {
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
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// `planes` holds the points, byte plane by byte plane, deflated. In order: x, y, z (low bytes, high bytes), red, green, blue, cutaway, class (2), instance + 1 (4 at most).
function interleave(planes) {
  const n = count;
  const plane = (k) => planes.subarray(k * n, (k + 1) * n);
  const positions = new Uint16Array(4 * n);
  const colors = new Uint8Array(4 * n);
  const labels = new Uint32Array(n);
  for (let axis = 0; axis < 3; axis++) {
    const low = plane(2 * axis), high = plane(2 * axis + 1);
    for (let i = 0; i < n; i++) positions[4 * i + axis] = low[i] | (high[i] << 8);
  }
  for (let channel = 0; channel < 4; channel++) {
    const source = plane(6 + channel);
    for (let i = 0; i < n; i++) colors[4 * i + channel] = source[i];
  }
  const classLow = plane(10), classHigh = plane(11);
  for (let i = 0; i < n; i++) positions[4 * i + 3] = classLow[i] | (classHigh[i] << 8);
  for (let b = 0; b < about.labelBytes; b++) {
    const source = plane(12 + b);
    for (let i = 0; i < n; i++) labels[i] |= source[i] << (8 * b);
  }
  return { positions, colors, labels };
}

let grid = null; // Kept for measuring: x, y, z, class of every point.
function placeOf(row) {
  return [0, 1, 2].map((a) => about.low[a] + about.unit[a] * grid[4 * row + a]);
}
