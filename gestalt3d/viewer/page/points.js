// Planes in order: x, y, z, red, green, blue, cutaway, class, instance + 1.
function unpackPoints(layer, from) {
  const n = layer.rows;
  const positions = from.positions(n, new Uint16Array(4 * n), 0, 4);
  const colors = new Uint8Array(4 * n);
  for (let channel = 0; channel < 4; channel++) {
    const source = from.plane(n);
    for (let i = 0; i < n; i++) colors[4 * i + channel] = source[i];
  }
  from.numbers(n, 2, positions, 3, 4);
  return { positions, colors, labels: from.numbers(n, layer.labelBytes) };
}

// Points of all scans are counted through: this one's are rows of `positions`, kept for measuring.
function placeOf(row) {
  const layer = scans.find(({ first, rows }) => row >= first && row < first + rows);
  return [0, 1, 2].map((a) => layer.low[a] + layer.unit[a] * layer.positions[4 * (row - layer.first) + a]);
}
function takeSample(layer, { positions, colors }) {
  const { bounds } = room, some = layer.levels[0];
  const step = Math.max(1, Math.floor(some / 3000));
  for (let i = 0; i < some; i += step) {
    const p = [0, 1, 2].map((a) => {
      const v = layer.low[a] + layer.unit[a] * positions[4 * i + a];
      return Math.min(bounds[1][a], Math.max(bounds[0][a], v));
    });
    spaces.room.sample.push([...p, colors[4 * i + 3]]);
  }
}
