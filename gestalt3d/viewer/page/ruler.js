// Two clicks, a distance. The ends are points of the scan.
let ends = [];

function measure(on) {
  state.measuring = on;
  ends = [];
  $("measure").setAttribute("aria-pressed", String(on));
  canvas.classList.toggle("measuring", on);
  setHovered(NONE);
  placeRuler();
  ask(); // Ghosts have no part in it.
}
function measureAt(x, y) {
  const { row } = at(x, y);
  if (row === NONE) return;
  const point = placeOf(row);
  ends = ends.length === 1 ? [ends[0], point] : [point];
  placeRuler();
}
function lengths() {
  const step = along(ends[1], [-1, ends[0]]);
  return { straight: Math.hypot(...step), level: Math.hypot(step[0], step[1]), height: Math.abs(step[2]) };
}
function inMetres(length) {
  return `${length.toFixed(length < 10 ? 3 : 2)} m`;
}

// Where a point of the scan lies on the canvas; behind the eye it lies nowhere.
function onCanvas(point) {
  const { right, up, back } = axes(camera.azimuth, camera.elevation);
  const q = along(point, [-1, along(camera.target, [camera.distance, back])]);
  const depth = -dot(q, back), scale = canvas.clientHeight / (2 * TAN_Y) / depth;
  if (depth <= 0) return null;
  return [canvas.clientWidth / 2 + scale * dot(q, right), canvas.clientHeight / 2 - scale * dot(q, up)];
}

function placeRuler() {
  const places = ends.map(onCanvas);
  const shown = places.length > 0 && places.every(Boolean);
  $("ruler").toggleAttribute("hidden", !shown); // SVG knows no property of that name.
  $("hint").hidden = !state.measuring;
  const texts = ["Click the first of two points", "Click the second point"];
  if (ends.length === 2) {
    const { straight, level, height } = lengths();
    texts.push(`${inMetres(straight)} · level ${inMetres(level)} · height ${inMetres(height)}`);
  }
  $("hint").textContent = texts[ends.length];
  $("ruler-length").hidden = !shown || places.length < 2;
  if (!shown) return;
  const [a, b] = [places[0], places.at(-1)];
  const line = { x1: a[0], y1: a[1], x2: b[0], y2: b[1] };
  for (const e of $("ruler").querySelectorAll("line")) for (const key in line) e.setAttribute(key, line[key]);
  $("ruler").querySelectorAll("circle").forEach((e, k) => {
    const [x, y] = k ? b : a;
    e.setAttribute("cx", x);
    e.setAttribute("cy", y);
  });
  if (places.length < 2) return;
  $("ruler-length").textContent = inMetres(lengths().straight);
  $("ruler-length").style.left = `${(a[0] + b[0]) / 2}px`;
  $("ruler-length").style.top = `${(a[1] + b[1]) / 2}px`;
}
