// Boxes, outlines and other lines: a draw call each, in which every line is one instance of a quad.
let lines;
const drawings = []; // What there is to draw: whether it is flat, whether it is to be seen, how many lines.

function uploadDrawing(ends, labels, { quiet = null, dashed = false, flat = false, shown }) {
  if (!labels.length) return;
  lines ||= program(LINE_VERTEX, LINE_FRAGMENT);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  buffer(ends);
  attribute(0, 3, gl.FLOAT, { stride: 24, divisor: 1 });
  attribute(1, 3, gl.FLOAT, { stride: 24, offset: 12, divisor: 1 });
  buffer(labels);
  attribute(2, 1, gl.UNSIGNED_INT, { integer: true, divisor: 1 });
  buffer(quiet || new Uint8Array(labels.length));
  attribute(3, 1, gl.UNSIGNED_BYTE, { integer: true, divisor: 1 });
  drawings.push({ array, count: labels.length, dashed, flat, shown });
}
function uploadLines(layer, { ends, labels }) {
  uploadDrawing(ends, labels, { dashed: layer.dashed, shown: () => isShown(layer) });
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
  for (const [boxes, dashed, shown] of [[instances.boxes, false, () => state.boxes], [instances.amodal, true, () => state.amodal]]) {
    const own = [...Array(total).keys()].filter((i) => boxOf(boxes, i));
    const ends = own.flatMap((i) => {
      const corner = corners(boxOf(boxes, i));
      return EDGES.flatMap(([a, b]) => [...corner[a], ...corner[b]]);
    });
    const each = (value) => own.flatMap((i) => Array(EDGES.length).fill(value(i)));
    // Walls and floors would fence everything in; their boxes are drawn when they are chosen.
    const isBuilding = (i) => Number(classOf(i) !== unknown && classes[classOf(i)].structure);
    uploadDrawing(Float32Array.from(ends), Uint32Array.from(each((i) => i + 1)), { quiet: Uint8Array.from(each(isBuilding)), dashed, shown });
  }
}

function drawLines() {
  for (const { array, count, dashed, flat, shown } of drawings) {
    if (flat !== state.flat || !(shown() || state.selected !== NONE)) continue;
    const { at, p } = lines;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(p);
    setCamera(lines);
    gl.uniform2f(at.screen, target.width / 2, target.height / 2);
    gl.uniform1f(at.thickness, 1.25 * target.scale);
    gl.uniform1f(at.dash, dashed ? 0.012 * camera.distance : 0);
    gl.uniform1ui(at.chosen, state.selected + 1);
    gl.uniform3fv(at.ink, fraction(theme().ink));
    gl.uniform1i(at.split, isSplit());
    bindTextures([[at.depths, target.depths], [at.instanceTable, instanceTable]]);
    gl.bindVertexArray(array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
  }
}

const LINE_VERTEX = `#version 300 es
  precision highp float; precision highp int;
  layout(location=0) in vec3 from;
  layout(location=1) in vec3 to;
  layout(location=2) in uint label;
  layout(location=3) in uint quiet;
  uniform vec3 eye, right, up, back, lens, ink;
  uniform vec2 range, screen;
  uniform uint chosen;
  uniform float thickness;
  uniform sampler2D instanceTable;
  out vec4 color;
  out float depth;
  out float side;
  out float metres;
  vec3 view(vec3 p) { vec3 q = p - eye; return vec3(dot(q, right), dot(q, up), -dot(q, back)); }
  void main() {
    vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
    bool shown = chosen != 0u ? label == chosen : own.a > 0.75 && quiet == 0u;
    vec3 a = view(from), b = view(to);
    if (!shown || max(a.z, b.z) < range.x) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    if (a.z < range.x) a = mix(b, a, (b.z - range.x) / (b.z - a.z));
    if (b.z < range.x) b = mix(a, b, (a.z - range.x) / (a.z - b.z));
    vec2 pa = lens.xy * a.xy / a.z, pb = lens.xy * b.xy / b.z;
    vec2 line = (pb - pa) * screen;
    vec2 normal = length(line) > 0.0 ? normalize(vec2(-line.y, line.x)) : vec2(0.0);
    bool atEnd = (gl_VertexID & 1) == 1;
    side = (gl_VertexID & 2) == 0 ? -1.0 : 1.0;
    vec3 p = atEnd ? b : a;
    depth = p.z;
    metres = atEnd ? distance(a, b) : 0.0;
    color = vec4(label == 0u ? ink : own.rgb, 1.0);
    gl_Position = vec4((atEnd ? pb : pa) + side * normal * thickness / screen, 0.0, 1.0);
  }`;
const LINE_FRAGMENT = `#version 300 es
  precision highp float; precision highp int;
  ${DEPTH}
  in vec4 color;
  in float depth, side, metres;
  uniform float dash;
  out vec4 result;
  void main() {
    if (dash > 0.0 && fract(metres / dash) > 0.55) discard;
    float there = depthAt(ivec2(gl_FragCoord.xy));
    float alpha = there > 0.0 && there < depth * 0.995 ? 0.22 : 0.95;
    result = vec4(color.rgb, alpha * (1.0 - smoothstep(0.55, 1.0, abs(side))));
  }`;
