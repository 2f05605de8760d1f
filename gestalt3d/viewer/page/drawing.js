const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });

function program(vertex, fragment) {
  const p = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(p, shader);
  }
  gl.linkProgram(p);
  if (!gl.getProgramParameter(p, gl.LINK_STATUS)) {
    const logs = gl.getAttachedShaders(p).map((s) => gl.getShaderInfoLog(s));
    throw new Error([gl.getProgramInfoLog(p), ...logs].join(" "));
  }
  const at = {};
  for (let i = 0; i < gl.getProgramParameter(p, gl.ACTIVE_UNIFORMS); i++) {
    const name = gl.getActiveUniform(p, i).name;
    at[name] = gl.getUniformLocation(p, name);
  }
  return { p, at };
}

let points, screen, lines, pointArray, boxArray, emptyArray, boxEdges = 0;
let target = null;
let instanceTable, classTable;

function buffer(data) {
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
}
function attribute(location, size, type, { stride = 0, offset = 0, integer = false, normalized = false, divisor = 0 } = {}) {
  gl.enableVertexAttribArray(location);
  if (integer) gl.vertexAttribIPointer(location, size, type, stride, offset);
  else gl.vertexAttribPointer(location, size, type, normalized, stride, offset);
  gl.vertexAttribDivisor(location, divisor);
}

function upload({ positions, colors, labels }) {
  points = program(POINT_VERTEX, POINT_FRAGMENT);
  screen = program(SCREEN_VERTEX, SCREEN_FRAGMENT);
  lines = program(BOX_VERTEX, BOX_FRAGMENT);
  emptyArray = gl.createVertexArray();
  pointArray = gl.createVertexArray();
  gl.bindVertexArray(pointArray);
  buffer(positions);
  attribute(0, 3, gl.UNSIGNED_SHORT, { stride: 8 });
  attribute(1, 1, gl.UNSIGNED_SHORT, { stride: 8, offset: 6, integer: true });
  buffer(colors);
  attribute(2, 3, gl.UNSIGNED_BYTE, { stride: 4, normalized: true });
  attribute(3, 1, gl.UNSIGNED_BYTE, { stride: 4, offset: 3, integer: true });
  buffer(labels);
  attribute(4, 1, gl.UNSIGNED_INT, { integer: true });
  uploadBoxes();
  instanceTable = table();
  classTable = table();
}

const boxOf = (boxes, i) => {
  if (!boxes) return null;
  const box = boxes.slice(7 * i, 7 * i + 7);
  return box.every((v) => v !== null && Number.isFinite(v)) ? box : null;
};
function corners([x, y, z, dx, dy, dz, yaw]) {
  const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
  return [0, 1, 2, 3, 4, 5, 6, 7].map((k) => {
    const [u, v, w] = [(k & 1 ? dx : -dx) / 2, (k & 2 ? dy : -dy) / 2, (k & 4 ? dz : -dz) / 2];
    return [x + c * u - s * v, y + s * u + c * v, z + w];
  });
}
const EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
function uploadBoxes() {
  const rows = [];
  [instances.boxes, instances.amodal].forEach((boxes, whole) => {
    for (let i = 0; i < total; i++) {
      const box = boxOf(boxes, i);
      // Walls and floors would fence everything in; their boxes are drawn when they are chosen.
      const building = classOf(i) !== unknown && classes[classOf(i)].structure ? 2 : 0;
      if (box) rows.push([corners(box), i + 1, whole + building]);
    }
  });
  boxEdges = 12 * rows.length;
  const ends = new Float32Array(6 * boxEdges), marks = new Uint32Array(2 * boxEdges);
  rows.forEach(([corner, label, whole], r) => EDGES.forEach(([a, b], e) => {
    ends.set([...corner[a], ...corner[b]], 6 * (12 * r + e));
    marks.set([label, whole], 2 * (12 * r + e));
  }));
  boxArray = gl.createVertexArray();
  gl.bindVertexArray(boxArray);
  buffer(ends);
  attribute(0, 3, gl.FLOAT, { stride: 24, divisor: 1 });
  attribute(1, 3, gl.FLOAT, { stride: 24, offset: 12, divisor: 1 });
  buffer(marks);
  attribute(2, 1, gl.UNSIGNED_INT, { stride: 8, integer: true, divisor: 1 });
  attribute(3, 1, gl.UNSIGNED_INT, { stride: 8, offset: 4, integer: true, divisor: 1 });
}

function texture(format, internal, type, width, height, data = null) {
  const t = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, t);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  return t;
}
const table = () => texture(gl.RGBA, gl.RGBA8, gl.UNSIGNED_BYTE, 1, 1);
function fillTable(t, rows) {
  const height = Math.ceil(rows.length / 1024);
  const data = new Uint8Array(4 * 1024 * height);
  rows.forEach((row, i) => data.set(row, 4 * i));
  gl.bindTexture(gl.TEXTURE_2D, t);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 1024, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, data);
}

function resize() {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (target && target.width === width && target.height === height) return;
  if (target) {
    gl.deleteFramebuffer(target.frame);
    for (const t of target.textures) gl.deleteTexture(t);
  }
  canvas.width = width;
  canvas.height = height;
  const colors = texture(gl.RGBA, gl.RGBA8, gl.UNSIGNED_BYTE, width, height);
  const ids = texture(gl.RG_INTEGER, gl.RG32UI, gl.UNSIGNED_INT, width, height);
  const depths = texture(gl.DEPTH_COMPONENT, gl.DEPTH_COMPONENT24, gl.UNSIGNED_INT, width, height);
  const frame = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, colors, 0);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT1, gl.TEXTURE_2D, ids, 0);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depths, 0);
  gl.drawBuffers([gl.COLOR_ATTACHMENT0, gl.COLOR_ATTACHMENT1]);
  target = { frame, textures: [colors, ids, depths], width, height, scale };
}

const theme = () => state.dark
  ? { paper: [20, 23, 28], ink: [255, 255, 255], quiet: [52 / 255, 0.3], structure: [96, 102, 112], ghost: [34, 38, 45] }
  : { paper: [236, 239, 243], ink: [20, 24, 32], quiet: [110 / 255, 0.35], structure: [186, 189, 194], ghost: [214, 218, 224] };
const fraction = (rgb) => rgb.map((v) => v / 255);

function range() {
  const { back } = axes(camera.azimuth, camera.elevation);
  const eye = along(camera.target, [camera.distance, back]);
  const far = Math.hypot(...along(eye, [-1, middle])) + 6 * reach;
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

const MODES = { rgb: 0, instance: 1, class: 2, score: 3 };
function drawPoints(drawn) {
  const { at, p } = points;
  const look = theme();
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  gl.viewport(0, 0, target.width, target.height);
  gl.clearBufferfv(gl.COLOR, 0, [0, 0, 0, 1]);
  gl.clearBufferuiv(gl.COLOR, 1, [0, 0, 0, 0]);
  gl.clearBufferfv(gl.DEPTH, 0, [1]);
  gl.enable(gl.DEPTH_TEST);
  gl.disable(gl.BLEND);
  gl.useProgram(p);
  setCamera(points);
  gl.uniform3fv(at.low, about.low);
  gl.uniform3fv(at.unit, about.unit);
  // Fewer points are drawn larger, so that surfaces stay closed while the view turns.
  const grow = Math.min(2.5, Math.sqrt(count / drawn));
  gl.uniform1f(at.radius, 1.3 * about.spacing * Math.pow(2, state.size) * grow);
  gl.uniform1f(at.cut, Math.min(state.cut, 1e30));
  gl.uniform1i(at.mode, MODES[state.mode]);
  gl.uniform1ui(at.chosen, state.selected + 1);
  gl.uniform1i(at.alone, state.alone);
  gl.uniform1i(at.cutaway, state.cutaway);
  gl.uniform3fv(at.ghost, fraction(look.ghost));
  gl.uniform2fv(at.quiet, look.quiet);
  bindTextures([[at.instanceTable, instanceTable], [at.classTable, classTable]]);
  gl.bindVertexArray(pointArray);
  gl.drawArrays(gl.POINTS, 0, drawn);
}

function bindTextures(pairs) {
  pairs.forEach(([location, t], unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, t);
    gl.uniform1i(location, unit);
  });
}

function present() {
  const { at, p } = screen;
  const look = theme();
  const [colors, ids, depths] = target.textures;
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.viewport(0, 0, target.width, target.height);
  gl.disable(gl.DEPTH_TEST);
  gl.disable(gl.BLEND);
  gl.useProgram(p);
  gl.uniform2fv(at.range, range());
  gl.uniform1i(at.split, state.selected !== NONE);
  gl.uniform3fv(at.paper, fraction(look.paper));
  gl.uniform3fv(at.ink, fraction(look.ink));
  gl.uniform2ui(at.outlined, state.selected === NONE ? 0 : state.selected + 2, state.hovered === NONE ? 0 : state.hovered + 2);
  gl.uniform1f(at.strength, state.mode === "rgb" && about.hasColor ? 3.5 : 5.5);
  gl.uniform1i(at.pixel, Math.max(1, Math.round(target.scale)));
  bindTextures([[at.depths, depths], [at.colors, colors], [at.ids, ids]]);
  gl.bindVertexArray(emptyArray);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
  if (boxEdges && (state.boxes || state.amodal || state.selected !== NONE)) drawBoxes();
}

function drawBoxes() {
  const { at, p } = lines;
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  gl.useProgram(p);
  setCamera(lines);
  gl.uniform2f(at.screen, target.width / 2, target.height / 2);
  gl.uniform1f(at.thickness, 1.25 * target.scale);
  gl.uniform1f(at.dash, 0.012 * camera.distance);
  gl.uniform1ui(at.chosen, state.selected + 1);
  gl.uniform1i(at.showVisible, state.boxes);
  gl.uniform1i(at.showWhole, state.amodal);
  gl.uniform1i(at.split, state.selected !== NONE);
  bindTextures([[at.depths, target.textures[2]], [at.instanceTable, instanceTable]]);
  gl.bindVertexArray(boxArray);
  gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, boxEdges);
}
