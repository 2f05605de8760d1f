const camera = { azimuth: 0, elevation: 0, distance: 1, target: [0, 0, 0] };

function axes(azimuth, elevation) {
  const [sa, ca] = [Math.sin(azimuth), Math.cos(azimuth)];
  const [se, ce] = [Math.sin(elevation), Math.cos(elevation)];
  return { right: [-sa, ca, 0], up: [-se * ca, -se * sa, ce], back: [ce * ca, ce * sa, se] };
}
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const along = (p, ...steps) => [0, 1, 2].map((k) => p[k] + steps.reduce((sum, [s, v]) => sum + s * v[k], 0));

// As in the vertex shader: ceilings from above, walls from behind.
function cutAwayFrom(eye, [x, y, z, code]) {
  if (!state.cutaway || code === 0) return false;
  if (code === 1) return eye[2] > z;
  const a = (code - 2) * 2 * Math.PI / 254;
  return (eye[0] - x) * Math.cos(a) + (eye[1] - y) * Math.sin(a) < -0.03 * Math.hypot(eye[0] - x, eye[1] - y);
}

// What nothing stands in front of: pixels from the edges of the canvas that heading, tools, card and panel take.
const narrow = () => matchMedia("(max-width: 860px)").matches;
const SHEET = 0.52; // Share of the height that the list takes on a narrow screen; as in the style.
function taken() {
  const stage = canvas.getBoundingClientRect();
  const place = (id) => $(id).getBoundingClientRect();
  const card = $("card").hidden ? null : place("card");
  const sheet = narrow() && document.body.classList.contains("panel"); // It slides in: where it will be counts.
  let bottom = sheet ? SHEET * stage.height : stage.bottom - place("tools").top;
  if (card && narrow()) bottom = Math.max(bottom, stage.bottom - card.top);
  return { top: place("heading").bottom - stage.top + 12, bottom: bottom + 12, left: card && !narrow() ? card.right - stage.left : 0, right: 0 };
}

// The nearest eye that sees all points where nothing is in front, and the target around which it turns, as far as `base`.
function fit(points, azimuth, elevation, { base = space.middle, margin = 1.04 } = {}) {
  if (!points.length) return { azimuth, elevation, distance: space.reach, target: space.middle };
  const { right, up, back } = axes(azimuth, elevation);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  let { top, bottom, left, right: rightEdge } = taken();
  if (top + bottom > 0.75 * height) [top, bottom] = [0, 0];
  if (left + rightEdge > 0.6 * width) [left, rightEdge] = [0, 0];
  // Slopes of the four planes that bound what is free.
  const slope = (pixels, side) => TAN_Y / height * (side - 2 * pixels);
  const [tanR, tanL] = [slope(rightEdge, width), slope(left, width)];
  const [tanA, tanB] = [slope(top, height), slope(bottom, height)];
  let r = -Infinity, l = -Infinity, a = -Infinity, b = -Infinity;
  for (const p of points) {
    const q = along(p, [-1, base]);
    const u = dot(q, right), v = dot(q, up), w = dot(q, back);
    r = Math.max(r, u + tanR * w); l = Math.max(l, tanL * w - u);
    a = Math.max(a, v + tanA * w); b = Math.max(b, tanB * w - v);
  }
  // Planes of opposite sides touch the points on both; the pair that asks for more decides, in the other one they lie amidst.
  const distance = Math.max((r + l) / (tanR + tanL), (a + b) / (tanA + tanB), 0.02 * space.reach) * margin;
  const aside = (r - l - (tanR - tanL) * distance) / 2, above = (a - b - (tanA - tanB) * distance) / 2;
  return { azimuth, elevation, distance, target: along(base, [aside, right], [above, up]) };
}

// Which walls are in the way depends on where the eye is, and where it is on which walls are left: twice is enough.
function fitAll(azimuth, elevation) {
  const { sample } = space;
  let view = fit(sample, azimuth, elevation);
  for (let k = 0; k < 2; k++) {
    const eye = along(view.target, [view.distance, axes(azimuth, elevation).back]);
    const shown = sample.filter((p) => !cutAwayFrom(eye, p));
    if (shown.length) view = fit(shown, azimuth, elevation);
  }
  return view;
}
const firstView = () => fitAll(space.view.azimuth, space.view.elevation);
const topView = () => fitAll(space.view.azimuth, state.flat ? space.view.elevation : 1.56);

// The view last asked for, which is fitted again when the window or what stands in front changes; none once turned by hand.
let aim = firstView;
function go(view) {
  aim = view;
  fly(view());
}
let limit = 0;
function refit() {
  const before = limit;
  limit = Math.min(1, canvas.clientWidth / Math.max(1, canvas.clientHeight));
  if (aim) fly(aim(), true);
  else if (before && before !== limit) {
    // What was to be seen stays to be seen.
    camera.distance *= before / limit;
    moved();
  }
}
function byHand() {
  aim = null;
  moved();
}

const TURN = 0.006; // Radians for a pixel of a drag.
let flight = 0;
function fly(goal, instantly) {
  cancelAnimationFrame(flight);
  const from = { ...camera, target: [...camera.target] };
  let turn = (goal.azimuth - from.azimuth) % (2 * Math.PI);
  if (turn > Math.PI) turn -= 2 * Math.PI;
  if (turn < -Math.PI) turn += 2 * Math.PI;
  const start = performance.now();
  const still = instantly || matchMedia("(prefers-reduced-motion: reduce)").matches || frameMs > 120;
  const step = () => {
    const t = still ? 1 : Math.min(1, (performance.now() - start) / 320);
    const s = t * t * (3 - 2 * t);
    camera.azimuth = from.azimuth + s * turn;
    camera.elevation = from.elevation + s * (goal.elevation - from.elevation);
    camera.distance = from.distance * Math.pow(goal.distance / from.distance, s);
    camera.target = from.target.map((v, k) => v + s * (goal.target[k] - v));
    moved();
    if (t < 1) flight = requestAnimationFrame(step);
  };
  step();
}

// A photo is not turned but moved.
function turnBy(dx, dy) {
  if (state.flat) return slideBy(dx / TURN, dy / TURN);
  camera.azimuth -= dx;
  camera.elevation = Math.min(1.56, Math.max(-1.2, camera.elevation + dy));
  byHand();
}
function slideBy(dx, dy) {
  const { right, up } = axes(camera.azimuth, camera.elevation);
  const metres = 2 * TAN_Y * camera.distance / canvas.clientHeight;
  camera.target = along(camera.target, [-dx * metres, right], [dy * metres, up]);
  byHand();
}
function zoomBy(factor, x, y) {
  const distance = Math.min(20 * space.reach, Math.max(0.002 * space.reach, camera.distance * factor));
  if (x !== undefined) {
    // What lies under the pointer stays under it.
    const { right, up } = axes(camera.azimuth, camera.elevation);
    const metres = 2 * TAN_Y * (camera.distance - distance) / canvas.clientHeight;
    camera.target = along(camera.target, [(x - canvas.clientWidth / 2) * metres, right], [(canvas.clientHeight / 2 - y) * metres, up]);
  }
  camera.distance = distance;
  byHand();
}
function zoomTo(i) {
  const box = boxOf(space.boxes, i) || (!state.flat && boxOf(instances.amodal, i)); // Of what nobody sees, too.
  if (!box) return;
  // As seen from where the eye is now, with some of what stands around.
  const { azimuth, elevation } = camera;
  go(() => fit(corners(box), azimuth, elevation, { base: box.slice(0, 3), margin: 1.8 }));
}
