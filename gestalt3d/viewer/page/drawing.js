let points, screen, emptyArray;
let instanceTable, classTable;

function upload(unpacked) {
  screen = program(SCREEN_VERTEX, SCREEN_FRAGMENT);
  points = program(POINT_VERTEX, pointFragment(false));
  emptyArray = gl.createVertexArray();
  instanceTable = table();
  classTable = table();
  unpacked.forEach((arrays, k) => UPLOAD[layers[k].kind](layers[k], arrays));
  uploadBoxes();
}
const UPLOAD = { points: uploadPoints, triangles: uploadTriangles, lines: uploadLines, image: uploadPhoto, camera: uploadCamera };

function uploadPoints(layer, { positions, colors, labels }) {
  layer.array = gl.createVertexArray();
  gl.bindVertexArray(layer.array);
  buffer(positions);
  attribute(0, 3, gl.UNSIGNED_SHORT, { stride: 8 });
  attribute(1, 1, gl.UNSIGNED_SHORT, { stride: 8, offset: 6, integer: true });
  buffer(colors);
  attribute(2, 3, gl.UNSIGNED_BYTE, { stride: 4, normalized: true });
  attribute(3, 1, gl.UNSIGNED_BYTE, { stride: 4, offset: 3, integer: true });
  buffer(labels);
  attribute(4, 1, gl.UNSIGNED_INT, { integer: true });
}

const theme = () => state.dark
  ? { paper: [20, 23, 28], ink: [255, 255, 255], quiet: [52 / 255, 0.3], structure: [96, 102, 112], ghost: [34, 38, 45] }
  : { paper: [236, 239, 243], ink: [20, 24, 32], quiet: [110 / 255, 0.35], structure: [186, 189, 194], ghost: [214, 218, 224] };
const fraction = (rgb) => rgb.map((v) => v / 255);

function range() {
  const { back } = axes(camera.azimuth, camera.elevation);
  const eye = along(camera.target, [camera.distance, back]);
  const far = Math.hypot(...along(eye, [-1, space.middle])) + 6 * space.reach;
  return [Math.max(camera.distance * 0.01, far / 20000), far];
}

function setCamera({ at }) {
  const { right, up, back } = axes(camera.azimuth, camera.elevation);
  gl.uniform3fv(at.eye, along(camera.target, [camera.distance, back]));
  gl.uniform3fv(at.right, right);
  gl.uniform3fv(at.up, up);
  gl.uniform3fv(at.back, back);
  gl.uniform3f(at.lens, target.height / target.width / TAN_Y, 1 / TAN_Y, target.height / (2 * TAN_Y));
  gl.uniform2fv(at.range, range());
}
function setChoice({ at }) {
  const look = theme();
  gl.uniform1f(at.cut, Math.min(state.cut, 1e30));
  gl.uniform1i(at.mode, MODES[state.mode]);
  gl.uniform1ui(at.chosen, state.selected + 1);
  gl.uniform1i(at.alone, state.alone);
  gl.uniform1i(at.cutaway, state.cutaway);
  gl.uniform3fv(at.ghost, fraction(look.ghost));
  gl.uniform2fv(at.quiet, look.quiet);
}

const MODES = { rgb: 0, instance: 1, class: 2, score: 3 };
const isShown = (layer) => !state.hiddenLayers.has(layer);

// Whether the chosen object has a depth range of its own; a photo has one depth.
const isSplit = () => state.selected !== NONE && !state.flat;

// Color and id of every pixel. `k` is the level of detail.
function drawScene(k) {
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  gl.viewport(0, 0, target.width, target.height);
  gl.clearBufferfv(gl.COLOR, 0, [0, 0, 0, 1]);
  gl.clearBufferuiv(gl.COLOR, 1, [0, 0, 0, 0]);
  gl.clearBufferfv(gl.DEPTH, 0, [1]);
  gl.enable(gl.DEPTH_TEST);
  gl.disable(gl.BLEND);
  if (state.flat) return drawPhoto([0, 0, 0], [photo.width, 0, 0], [0, -photo.height, 0]);
  for (const { eye, corners: [a, b, c] } of cameras.filter(isShown)) drawPhoto(a, along(b, [-1, a]), along(c, [-1, a]));
  for (const layer of scans.filter(isShown)) drawPoints(points, layer, layer.levels[k], { first: layer.first + 1 });
  drawGhosts(k);
}

function drawPoints(kind, layer, drawn, { first = 0, textures = [] }) {
  const { at, p } = kind;
  gl.useProgram(p);
  setCamera(kind);
  setChoice(kind);
  gl.uniform3fv(at.low, layer.low);
  gl.uniform3fv(at.unit, layer.unit);
  gl.uniform1ui(at.first, first);
  // Fewer points are drawn larger, so that surfaces stay closed while the view turns.
  const grow = Math.min(2.5, Math.sqrt(layer.rows / drawn));
  gl.uniform1f(at.radius, 1.3 * layer.spacing * Math.pow(2, state.size) * grow);
  bindTextures([[at.instanceTable, instanceTable], [at.classTable, classTable], ...textures]);
  gl.bindVertexArray(layer.array);
  gl.drawArrays(gl.POINTS, 0, drawn);
}

function present() {
  const { at, p } = screen;
  const look = theme();
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.viewport(0, 0, target.width, target.height);
  gl.disable(gl.DEPTH_TEST);
  gl.disable(gl.BLEND);
  gl.useProgram(p);
  gl.uniform2fv(at.range, range());
  gl.uniform1i(at.split, isSplit());
  gl.uniform3fv(at.paper, fraction(look.paper));
  gl.uniform3fv(at.ink, fraction(look.ink));
  gl.uniform2ui(at.outlined, state.selected === NONE ? 0 : state.selected + 2, state.hovered === NONE ? 0 : state.hovered + 2);
  gl.uniform1f(at.strength, state.mode === "rgb" && about.hasColor ? 3.5 : 5.5);
  gl.uniform1i(at.pixel, Math.max(1, Math.round(target.scale)));
  const haunted = ghosts.length > 0 && !state.flat;
  gl.uniform1i(at.haunted, haunted);
  bindTextures([[at.depths, target.depths], [at.colors, target.colors], [at.ids, target.ids], [at.ghosts, haunted ? target.ghostColors : target.colors]]);
  gl.bindVertexArray(emptyArray);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
  drawLines();
}
