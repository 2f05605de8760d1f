// What is not seen but said to be there, and surfaces. Of several the nearest counts; where the scan has a surface, it is seen.
let surfaces, ghostPoints;

function uploadTriangles(layer, { positions, labels }) {
  surfaces ||= program(SURFACE_VERTEX, SURFACE_FRAGMENT);
  layer.array = gl.createVertexArray();
  gl.bindVertexArray(layer.array);
  buffer(positions);
  attribute(0, 3, gl.UNSIGNED_SHORT, { stride: 6 });
  buffer(labels);
  attribute(1, 1, gl.UNSIGNED_INT, { integer: true });
}

function drawGhosts(k) {
  if (!ghosts.length) return;
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.ghostFrame);
  // Distances are measured between points of the scan: it is their ids that are read then.
  gl.drawBuffers([gl.COLOR_ATTACHMENT0, state.measuring ? gl.NONE : gl.COLOR_ATTACHMENT1]);
  gl.clearBufferfv(gl.COLOR, 0, [0, 0, 0, 0]);
  gl.clearBufferfv(gl.DEPTH, 0, [1]);
  for (const layer of ghosts.filter(isShown)) {
    if (layer.kind === "triangles") drawSurface(layer);
    else {
      ghostPoints ||= program(POINT_VERTEX, pointFragment(true));
      setGhost(ghostPoints, layer);
      drawPoints(ghostPoints, layer, layer.levels[k], { textures: [[ghostPoints.at.depths, target.depths]] });
    }
  }
}
function setGhost({ at, p }, { opacity }) {
  gl.useProgram(p);
  gl.uniform1f(at.opacity, opacity);
  gl.uniform1i(at.split, state.selected !== NONE);
}
function drawSurface(layer) {
  const { at } = surfaces;
  setGhost(surfaces, layer);
  setCamera(surfaces);
  setChoice(surfaces);
  gl.uniform3fv(at.low, layer.low);
  gl.uniform3fv(at.unit, layer.unit);
  bindTextures([[at.instanceTable, instanceTable], [at.depths, target.depths]]);
  gl.bindVertexArray(layer.array);
  gl.drawArrays(gl.TRIANGLES, 0, 3 * layer.rows);
}

const SURFACE_VERTEX = `#version 300 es
  precision highp float; precision highp int;
  layout(location=0) in vec3 grid;
  layout(location=1) in uint label;
  uniform vec3 low, unit, eye, right, up, back, lens;
  uniform vec2 range, quiet;
  uniform uint chosen;
  uniform sampler2D instanceTable;
  out vec3 place;
  out float depth;
  flat out vec3 color;
  flat out uint id;
  void main() {
    vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
    bool shown = chosen != 0u ? label == chosen : own.a > 0.75;
    place = low + unit * grid;
    vec3 q = place - eye;
    depth = -dot(q, back);
    if (!shown) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    color = label == 0u ? vec3(quiet.x + 0.6 * quiet.y) : own.rgb;
    id = label + 1u;
    float z = ((range.x + range.y) * depth - 2.0 * range.x * range.y) / (range.y - range.x);
    gl_Position = vec4(lens.x * dot(q, right), lens.y * dot(q, up), z, depth);
  }`;
const SURFACE_FRAGMENT = `#version 300 es
  precision highp float; precision highp int;
  ${BEHIND}
  in vec3 place;
  in float depth;
  flat in vec3 color;
  flat in uint id;
  uniform vec3 eye;
  uniform float cut;
  layout(location=0) out vec4 outColor;
  layout(location=1) out uvec2 outId;
  void main() {
    if (place.z > cut || isBehind(depth)) discard;
    // Seen along the surface it is denser, as glass is, so that the shape shows.
    float facing = abs(dot(normalize(cross(dFdx(place), dFdy(place))), normalize(eye - place)));
    outColor = vec4(color * (0.6 + 0.4 * facing), mix(min(1.0, 2.0 * opacity), opacity, facing));
    outId = uvec2(id, 0u);
  }`;
