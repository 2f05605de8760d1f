"use strict";
// The page of one scan. `about` holds names, tables and boxes; `planes` the points, byte plane by byte plane, deflated.
(() => {
  const $ = (id) => document.getElementById(id);
  const about = JSON.parse($("about").textContent);
  const { classes, instances, bounds } = about;
  const count = about.points;
  const total = instances.class.length;
  const unknown = classes.length; // The last row of class tables: points without a class.
  const canvas = $("canvas");
  const TAN_Y = about.tanHalfFov;
  const NONE = -1;

  const state = {
    mode: total ? "instance" : "rgb",
    selected: NONE,
    hovered: NONE,
    alone: false,
    boxes: false,
    amodal: false,
    cutaway: true,
    size: 0,
    cut: Infinity,
    hiddenClasses: new Set(),
    dark: true,
  };

  // ---------------------------------------------------------------- points

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

  // Planes in order: x, y, z (low bytes, high bytes), red, green, blue, cutaway, class (2), instance + 1 (4 at most).
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

  // ---------------------------------------------------------------- camera

  const camera = { azimuth: 0, elevation: 0, distance: 1, target: [0, 0, 0] };
  const middle = [0, 1, 2].map((a) => (bounds[0][a] + bounds[1][a]) / 2);
  const reach = Math.max(1e-3, Math.hypot(...[0, 1, 2].map((a) => bounds[1][a] - bounds[0][a])));
  let sample = []; // Points to fit the first view to: x, y, z, cutaway code.

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

  // The nearest eye that sees all points, and the target that centres them: frustum planes touch on both sides.
  function fit(points, azimuth, elevation) {
    const { right, up, back } = axes(azimuth, elevation);
    const usable = Math.max(0.5, 1 - 150 / canvas.clientHeight);
    const tanY = TAN_Y * usable, tanX = TAN_Y * canvas.clientWidth / canvas.clientHeight * 0.96;
    let r = -Infinity, l = -Infinity, a = -Infinity, b = -Infinity;
    for (const p of points) {
      const q = along(p, [-1, middle]);
      const u = dot(q, right) / tanX, v = dot(q, up) / tanY, w = dot(q, back);
      r = Math.max(r, w + u); l = Math.max(l, w - u); a = Math.max(a, w + v); b = Math.max(b, w - v);
    }
    if (!points.length) return { azimuth, elevation, distance: reach, target: middle };
    const distance = Math.max((r + l) / 2, (a + b) / 2, 0.02 * reach) * 1.02;
    return { azimuth, elevation, distance, target: along(middle, [tanX * (r - l) / 2, right], [tanY * (a - b) / 2, up]) };
  }

  // Which walls are in the way depends on where the eye is, and where it is on which walls are left: twice is enough.
  function fitAll(azimuth, elevation) {
    let view = fit(sample, azimuth, elevation);
    for (let k = 0; k < 2; k++) {
      const eye = along(view.target, [view.distance, axes(azimuth, elevation).back]);
      const shown = sample.filter((p) => !cutAwayFrom(eye, p));
      if (shown.length) view = fit(shown, azimuth, elevation);
    }
    return view;
  }
  const firstView = () => fitAll(about.view.azimuth * Math.PI / 180, about.view.elevation * Math.PI / 180);

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

  function turnBy(dx, dy) {
    camera.azimuth -= dx;
    camera.elevation = Math.min(1.56, Math.max(-1.2, camera.elevation + dy));
    moved();
  }
  function slideBy(dx, dy) {
    const { right, up } = axes(camera.azimuth, camera.elevation);
    const metres = 2 * TAN_Y * camera.distance / canvas.clientHeight;
    camera.target = along(camera.target, [-dx * metres, right], [dy * metres, up]);
    moved();
  }
  function zoomBy(factor, x, y) {
    const distance = Math.min(20 * reach, Math.max(0.002 * reach, camera.distance * factor));
    if (x !== undefined) {
      // What lies under the pointer stays under it.
      const { right, up } = axes(camera.azimuth, camera.elevation);
      const metres = 2 * TAN_Y * (camera.distance - distance) / canvas.clientHeight;
      camera.target = along(camera.target, [(x - canvas.clientWidth / 2) * metres, right], [(canvas.clientHeight / 2 - y) * metres, up]);
    }
    camera.distance = distance;
    moved();
  }
  function zoomTo(i) {
    const box = boxOf(instances.boxes, i);
    if (!box) return;
    const size = Math.max(Math.hypot(box[3], box[4], box[5]), 0.02 * reach);
    fly({ ...camera, target: box.slice(0, 3), distance: 0.9 * size / (2 * TAN_Y) + size });
  }

  // ---------------------------------------------------------------- drawing

  const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });

  const POINT_VERTEX = `#version 300 es
    precision highp float; precision highp int; precision highp usampler2D;
    layout(location=0) in vec3 grid;
    layout(location=1) in uint cls;
    layout(location=2) in vec3 base;
    layout(location=3) in uint code;
    layout(location=4) in uint label;
    uniform vec3 low, unit, eye, right, up, back, lens;   // lens: x scale, y scale, pixels per metre at one metre
    uniform vec2 range;                                   // nearest and farthest depth
    uniform float radius, cut;
    uniform int mode;
    uniform uint chosen;                                  // label of the isolated instance, 0 for none
    uniform bool alone, cutaway;
    uniform vec3 ghost;
    uniform vec2 quiet;
    uniform sampler2D instanceTable, classTable;
    flat out vec3 color;
    flat out uint id;
    void main() {
      vec3 p = low + unit * grid;
      id = label + 1u;
      vec4 kind = texelFetch(classTable, ivec2(int(cls) & 1023, int(cls) >> 10), 0);
      vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
      bool isChosen = chosen != 0u && label == chosen;
      bool hidden = kind.a < 0.5 || p.z > cut;
      if (cutaway && code == 1u) hidden = hidden || eye.z > p.z;
      if (cutaway && code > 1u) {
        float a = float(code - 2u) * 0.02473695;
        vec2 away = eye.xy - p.xy;
        hidden = hidden || dot(away, vec2(cos(a), sin(a))) < -0.03 * length(away);
      }
      if (isChosen) hidden = false;
      if (chosen != 0u && !isChosen && alone) hidden = true;
      vec3 q = p - eye;
      float depth = -dot(q, back);
      if (hidden || depth < range.x) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
      vec3 grey = vec3(quiet.x + quiet.y * dot(base, vec3(0.30, 0.59, 0.11)));
      color = mode == 0 ? base : mode == 2 ? kind.rgb : label == 0u ? grey : own.rgb;
      float z = (range.x + range.y) * depth - 2.0 * range.x * range.y;
      z /= range.y - range.x;
      if (chosen != 0u) {
        // The chosen one gets the nearer half of the depth range: nothing stands in front of it.
        z = isChosen ? 0.5 * (z - depth) : 0.5 * (z + depth);
        if (!isChosen) color = mix(ghost, vec3(dot(color, vec3(0.30, 0.59, 0.11))), 0.16);
      }
      gl_Position = vec4(lens.x * dot(q, right), lens.y * dot(q, up), z, depth);
      gl_PointSize = clamp(2.0 * radius * lens.z / depth, 1.5, 48.0);
    }`;
  const POINT_FRAGMENT = `#version 300 es
    precision highp float; precision highp int;
    flat in vec3 color;
    flat in uint id;
    layout(location=0) out vec4 outColor;
    layout(location=1) out uint outId;
    void main() {
      vec2 c = 2.0 * gl_PointCoord - 1.0;
      if (dot(c, c) > 1.0) discard;
      outColor = vec4(color, 1.0);
      outId = id;
    }`;
  const SCREEN_VERTEX = `#version 300 es
    void main() { gl_Position = vec4(vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0, 0.0, 1.0); }`;
  const DEPTH = `
    uniform highp sampler2D depths;
    uniform vec2 range;
    uniform bool split;
    float depthAt(ivec2 p) {
      float d = texelFetch(depths, p, 0).r;
      if (d >= 1.0) return -1.0;
      if (split) d = d < 0.5 ? 2.0 * d : 2.0 * d - 1.0;
      return range.x * range.y / (range.y - d * (range.y - range.x));
    }`;
  // Eye-dome lighting (Boucheny 2009): a pixel darkens by how much nearer its neighbours are. And outlines by id.
  const SCREEN_FRAGMENT = `#version 300 es
    precision highp float; precision highp int; precision highp usampler2D;
    ${DEPTH}
    uniform sampler2D colors;
    uniform usampler2D ids;
    uniform vec3 paper, ink;
    uniform uvec2 outlined;
    uniform float strength;
    uniform int pixel;
    out vec4 result;
    bool marked(uint id) { return id > 1u && (id == outlined.x || id == outlined.y); }
    void main() {
      ivec2 p = ivec2(gl_FragCoord.xy), last = textureSize(depths, 0) - 1;
      float here = depthAt(p);
      vec3 color = paper;
      if (here > 0.0) {
        color = texelFetch(colors, p, 0).rgb;
        float total = 0.0, h = log2(here);
        for (int k = 0; k < 8; k++) {
          int far = (k & 1) == 0 ? pixel : 3 * pixel;
          ivec2 step = k < 2 ? ivec2(far, 0) : k < 4 ? ivec2(-far, 0) : k < 6 ? ivec2(0, far) : ivec2(0, -far);
          float there = depthAt(clamp(p + step, ivec2(0), last));
          if (there > 0.0) total += clamp(h - log2(there), 0.0, 0.05);
        }
        color *= exp(-strength * total);
      }
      if (outlined != uvec2(0u)) {
        bool inside = marked(texelFetch(ids, p, 0).r);
        bool other = false;
        for (int k = 0; k < 4; k++) {
          ivec2 step = 2 * pixel * (k < 2 ? ivec2(k * 2 - 1, 0) : ivec2(0, k * 2 - 5));
          other = other || marked(texelFetch(ids, clamp(p + step, ivec2(0), last), 0).r) != inside;
        }
        if (other && !inside) color = ink;
      }
      result = vec4(color, 1.0);
    }`;
  // Every edge of every box is one instance of a quad: one draw call for all.
  const BOX_VERTEX = `#version 300 es
    precision highp float; precision highp int;
    layout(location=0) in vec3 from;
    layout(location=1) in vec3 to;
    layout(location=2) in uint label;
    layout(location=3) in uint whole;
    uniform vec3 eye, right, up, back, lens;
    uniform vec2 range, screen;
    uniform uint chosen;
    uniform bool showVisible, showWhole;
    uniform float thickness;
    uniform sampler2D instanceTable;
    out vec4 color;
    out float depth;
    out float side;
    out float metres;
    flat out uint dashed;
    vec3 view(vec3 p) { vec3 q = p - eye; return vec3(dot(q, right), dot(q, up), -dot(q, back)); }
    void main() {
      vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
      bool shown = ((whole & 1u) == 1u ? showWhole : showVisible) && own.a > 0.5 && whole < 2u;
      if (chosen != 0u) shown = label == chosen;
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
      dashed = whole & 1u;
      color = vec4(own.rgb, 1.0);
      gl_Position = vec4((atEnd ? pb : pa) + side * normal * thickness / screen, 0.0, 1.0);
    }`;
  const BOX_FRAGMENT = `#version 300 es
    precision highp float; precision highp int;
    ${DEPTH}
    in vec4 color;
    in float depth, side, metres;
    flat in uint dashed;
    uniform float dash;
    out vec4 result;
    void main() {
      if (dashed == 1u && fract(metres / dash) > 0.55) discard;
      float there = depthAt(ivec2(gl_FragCoord.xy));
      float alpha = there > 0.0 && there < depth * 0.995 ? 0.22 : 0.95;
      result = vec4(color.rgb, alpha * (1.0 - smoothstep(0.55, 1.0, abs(side))));
    }`;

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
    const ids = texture(gl.RED_INTEGER, gl.R32UI, gl.UNSIGNED_INT, width, height);
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

  // ---------------------------------------------------------------- frames

  // Points come in levels: each prefix is an even sample of the whole. While the view moves, slow machines draw a prefix.
  let level = about.levels.length - 1, moving = false, needPoints = false, needScreen = false, asked = false;
  let settle = 0, frameMs = 0, lastFrame = 0;
  const full = () => about.levels.length - 1;

  function ask(withPoints = true) {
    needPoints ||= withPoints;
    needScreen = true;
    if (asked || !target) return;
    asked = true;
    requestAnimationFrame(frame);
  }
  function moved() {
    moving = true;
    clearTimeout(settle);
    settle = setTimeout(() => { moving = false; lastFrame = 0; ask(); }, 160);
    ask();
  }
  function frame(now) {
    asked = false;
    if (gl.isContextLost()) return;
    if (moving && lastFrame) {
      frameMs = now - lastFrame;
      if (frameMs > 50 && level > 0) level--;
      else if (frameMs < 22 && level < full()) level++;
    }
    lastFrame = moving ? now : 0;
    resize();
    if (needPoints) drawPoints(about.levels[moving ? level : full()]);
    if (needScreen) present();
    needPoints = needScreen = false;
    tipMayHaveChanged();
  }
  function drawNow() {
    resize();
    drawPoints(about.levels[full()]);
    present();
  }

  // ---------------------------------------------------------------- colours and visibility

  const css = (rgb) => `rgb(${rgb.join(" ")})`;
  const classOf = (i) => (instances.class[i] < 0 ? unknown : instances.class[i]);
  const className = (c) => (c === unknown ? "unknown" : classes[c].name);
  const classColor = (c) => (c === unknown ? about.unknownColor : classes[c].color);
  const tableColor = (colors, i) => colors.slice(3 * i, 3 * i + 3);
  function rampColor(score) {
    if (score === null || !Number.isFinite(score)) return about.unknownColor;
    const last = about.ramp.length / 3 - 1;
    return tableColor(about.ramp, Math.round(Math.min(1, Math.max(0, score)) * last));
  }
  function instanceColor(i) {
    if (state.mode === "class") return classColor(classOf(i));
    if (state.mode === "score") return rampColor(instances.score[i]);
    const own = tableColor(instances.color, i);
    const c = classOf(i);
    if (c === unknown || !classes[c].structure) return own;
    const grey = theme().structure;
    return own.map((v, k) => Math.round(0.2 * v + 0.8 * grey[k]));
  }
  function refreshTables() {
    const visible = (c) => (state.hiddenClasses.has(c) ? 0 : 255);
    const rows = [[0, 0, 0, 255]];
    for (let i = 0; i < total; i++) rows.push([...instanceColor(i), visible(classOf(i))]);
    fillTable(instanceTable, rows);
    const kinds = classes.map((c, k) => [...c.color, visible(k)]);
    kinds.push([...about.unknownColor, visible(unknown)]);
    fillTable(classTable, kinds);
    ask();
  }

  function colorBy(mode) {
    if (!(mode in MODES)) throw new Error(`no mode ${mode}`);
    if (document.querySelector(`[data-mode=${mode}]`).disabled) return;
    state.mode = mode;
    for (const b of document.querySelectorAll("[data-mode]")) b.setAttribute("aria-checked", String(b.dataset.mode === mode));
    $("ramp").hidden = mode !== "score";
    refreshTables();
    paintSwatches();
    ask();
  }
  function setTheme(dark) {
    state.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    refreshTables();
    paintSwatches();
  }
  function toggleClass(c, shown) {
    if (shown === undefined) shown = state.hiddenClasses.has(c);
    if (shown) state.hiddenClasses.delete(c); else state.hiddenClasses.add(c);
    refreshClasses();
  }
  function onlyClass(c) {
    state.hiddenClasses = new Set(legend.map((e) => e.id).filter((id) => id !== c));
    refreshClasses();
  }
  function refreshClasses() {
    for (const { id, button } of legend) button.setAttribute("aria-pressed", String(!state.hiddenClasses.has(id)));
    $("classes-all").hidden = state.hiddenClasses.size === 0;
    refreshTables();
  }

  // ---------------------------------------------------------------- choosing

  function idAt(x, y) {
    if (!target || !Number.isFinite(x) || !Number.isFinite(y)) return NONE;
    const px = Math.round(x * target.scale), py = target.height - 1 - Math.round(y * target.scale);
    const near = Math.round(3 * target.scale), side = 2 * near + 1;
    const ids = new Uint32Array(4 * side * side);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.readBuffer(gl.COLOR_ATTACHMENT1);
    gl.readPixels(px - near, py - near, side, side, gl.RGBA_INTEGER, gl.UNSIGNED_INT, ids);
    // Between the points of a sparse surface the nearest one counts; 1 is a point of no instance.
    let best = 0, least = Infinity;
    for (let k = 0; k < side * side; k++) {
      const d = (k % side - near) ** 2 + (Math.floor(k / side) - near) ** 2;
      if (ids[4 * k] && d < least) { least = d; best = ids[4 * k]; }
    }
    return best >= 2 ? best - 2 : NONE;
  }

  function isolate(i) {
    if (!Number.isInteger(i) || i < 0 || i >= total) i = NONE;
    state.selected = i;
    if (i === NONE) state.alone = false;
    $("card").hidden = i === NONE;
    if (i !== NONE) fillCard(i);
    for (const row of $("objects").querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
    const row = rows.get(i);
    if (row) {
      row.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    }
    ask();
  }
  function pick(x, y) {
    const i = idAt(x, y);
    isolate(i);
    return i;
  }

  const number = new Intl.NumberFormat("en");
  const metres = (box) => {
    const longest = Math.max(box[3], box[4], box[5]);
    const digits = longest < 0.1 ? 4 : longest < 1 ? 3 : 2;
    return `${box.slice(3, 6).map((v) => v.toFixed(digits)).join(" × ")} m`;
  };
  const scoreText = (i) => (instances.score[i] === null ? "–" : instances.score[i].toFixed(2));
  const nameOf = (i) => className(classOf(i)).replaceAll("_", " ");
  function fillCard(i) {
    $("card-name").textContent = nameOf(i);
    $("card-id").textContent = `#${i}`;
    $("card-swatch").style.background = css(instanceColor(i));
    $("card-alone").setAttribute("aria-pressed", String(state.alone));
    const facts = [["Score", scoreText(i)], ["Points", number.format(instances.points[i])]];
    const box = boxOf(instances.boxes, i), whole = boxOf(instances.amodal, i);
    if (box) facts.push(["Size", metres(box)]);
    if (whole) facts.push(["Whole", metres(whole)]);
    $("card-facts").replaceChildren(...facts.flatMap(([term, value]) => [element("dt", "", term), element("dd", "", value)]));
    $("card-zoom").disabled = !box;
  }

  // ---------------------------------------------------------------- panel

  function element(tag, className, text) {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  let legend = [];
  function buildLegend() {
    const objects = new Map();
    for (let i = 0; i < total; i++) objects.set(classOf(i), (objects.get(classOf(i)) || 0) + 1);
    const ids = [...classes.keys(), unknown].filter((c) => objects.has(c) || about.classPoints[c] > 0);
    ids.sort((a, b) => (objects.get(b) || 0) - (objects.get(a) || 0) || about.classPoints[b] - about.classPoints[a]);
    legend = ids.map((id) => {
      const li = element("li");
      const button = element("button", "row");
      const swatch = element("span", "swatch");
      const name = className(id).replaceAll("_", " ");
      const points = `${number.format(about.classPoints[id])} points shown in all`;
      button.append(swatch, element("span", "name", name), element("span", "count", objects.has(id) ? number.format(objects.get(id)) : "–"));
      button.setAttribute("aria-pressed", "true");
      button.title = `Hide or show ${name}; ${points}`;
      button.addEventListener("click", () => toggleClass(id));
      const only = element("button", "only", "only");
      only.setAttribute("aria-label", `Show only ${name}`);
      only.addEventListener("click", () => onlyClass(id));
      li.append(button, only);
      return { id, li, button, swatch };
    });
    $("classes").replaceChildren(...legend.map((e) => e.li));
    $("class-total").textContent = number.format(legend.length);
    $("classes-all").addEventListener("click", () => { state.hiddenClasses.clear(); refreshClasses(); });
    $("classes-all").hidden = true;
  }

  const rows = new Map();
  let listed = [];
  function buildObjects() {
    const order = {
      score: (a, b) => (instances.score[b] ?? -1) - (instances.score[a] ?? -1) || a - b,
      class: (a, b) => nameOf(a).localeCompare(nameOf(b)) || a - b,
      points: (a, b) => instances.points[b] - instances.points[a] || a - b,
      id: (a, b) => a - b,
    }[$("sort").value];
    const wanted = $("search").value.trim().toLowerCase();
    const matches = (i) => (wanted.startsWith("#") ? `#${i}` === wanted : nameOf(i).toLowerCase().includes(wanted));
    listed = [...Array(total).keys()].filter((i) => !wanted || matches(i)).sort(order);
    rows.clear();
    const items = listed.map((i) => {
      const li = element("li"), row = element("button", "row");
      const swatch = element("span", "swatch");
      const name = element("span", "name", `${nameOf(i)} `);
      name.append(element("span", "number", `#${i}`));
      row.append(swatch, name, element("span", "count", number.format(instances.points[i])), element("span", "score", scoreText(i)));
      row.title = `${nameOf(i)} #${i}: ${number.format(instances.points[i])} points, score ${scoreText(i)}`;
      row.dataset.id = i;
      if (i === state.selected) row.setAttribute("aria-current", "true");
      rows.set(i, row);
      li.append(row);
      return li;
    });
    $("objects").replaceChildren(...items);
    $("nothing").hidden = listed.length > 0;
    $("nothing").textContent = total ? "Nothing matches." : "No objects were found in this scan.";
    $("object-total").textContent = number.format(listed.length);
    paintSwatches();
  }
  function paintSwatches() {
    for (const { id, swatch } of legend) swatch.style.background = state.mode === "class" ? css(classColor(id)) : "";
    for (const [i, row] of rows) row.firstChild.style.background = css(instanceColor(i));
    if (state.selected !== NONE) $("card-swatch").style.background = css(instanceColor(state.selected));
  }
  function stepThroughList(by) {
    if (!listed.length) return;
    const at = listed.indexOf(state.selected);
    isolate(listed[(at < 0 ? (by > 0 ? 0 : -1) : at + by + listed.length) % listed.length] ?? listed.at(-1));
  }

  function buildHeading() {
    const some = (n, noun) => `${number.format(n)} ${noun}${n === 1 ? "" : "s"}`;
    const shown = `${count < about.pointsInAll ? `${number.format(count)} of ` : ""}${some(about.pointsInAll, "point")}`;
    const digits = reach < 0.3 ? 3 : reach < 3 ? 2 : 1;
    const size = [0, 1, 2].map((a) => (bounds[1][a] - bounds[0][a]).toFixed(digits)).join(" × ");
    $("facts").textContent = [shown, some(total, "object"), `${size} m`, about.method].filter(Boolean).join(" · ");
    $("notes").replaceChildren(...about.notes.map((note) => element("li", "", note)));
    $("amodal").hidden = !instances.amodal;
    $("boxes").hidden = !total;
    if (!about.hasColor) document.querySelector("[data-mode=rgb]").textContent = "Height";
    const classless = !about.classPoints.slice(0, unknown).some((n) => n > 0);
    $("class-section").hidden = classless && !total;
    $("find").hidden = !total;
    for (const [mode, off] of [["instance", !total], ["score", !total], ["class", classless]]) {
      document.querySelector(`[data-mode=${mode}]`).disabled = off;
    }
    const bar = $("ramp-bar").getContext("2d");
    for (let k = 0; k < 256; k++) {
      bar.fillStyle = css(rampColor(k / 255));
      bar.fillRect(k, 0, 1, 1);
    }
  }

  // ---------------------------------------------------------------- hands

  function press(id, key) {
    state[key] = !state[key];
    $(id).setAttribute("aria-pressed", String(state[key]));
    ask();
  }
  function screenshot() {
    drawNow();
    canvas.toBlob((blob) => {
      const link = element("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${about.title.replace(/[^\w.-]+/g, "_") || "scan"}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 5000);
    });
  }
  function goHome() {
    state.cut = Infinity;
    $("height").value = 1;
    fly(firstView());
  }
  const goTop = () => fly(fitAll(about.view.azimuth * Math.PI / 180, 1.56));
  function setSize(value) {
    state.size = Math.min(2, Math.max(-2, value));
    $("size").value = state.size;
    ask();
  }

  const fingers = new Map();
  let pressedAt = null, pointer = null, lastTap = 0;
  const place = (e) => {
    const box = canvas.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  };
  function listen() {
    canvas.addEventListener("pointerdown", (e) => {
      canvas.setPointerCapture(e.pointerId);
      cancelAnimationFrame(flight);
      fingers.set(e.pointerId, place(e));
      pressedAt = fingers.size === 1 && e.button === 0 ? place(e) : null;
      canvas.classList.add("turning");
      setHovered(NONE);
    });
    canvas.addEventListener("pointermove", (e) => {
      const now = place(e), before = fingers.get(e.pointerId);
      pointer = now;
      if (!before) return askTip();
      if (pressedAt && Math.hypot(now[0] - pressedAt[0], now[1] - pressedAt[1]) < 5) return;
      pressedAt = null;
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== e.pointerId)[1];
        const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        zoomBy(gap(before) / Math.max(1, gap(now)));
        slideBy(dx / 2, dy / 2);
      } else if (e.shiftKey || e.buttons & 6) slideBy(dx, dy);
      else turnBy(dx * 0.006, dy * 0.006);
      fingers.set(e.pointerId, now);
    });
    const release = (e) => {
      fingers.delete(e.pointerId);
      if (!fingers.size) canvas.classList.remove("turning");
      if (e.type === "pointerup" && pressedAt) {
        const i = pick(...pressedAt);
        if (performance.now() - lastTap < 350 && i !== NONE) zoomTo(i);
        lastTap = performance.now();
      }
      pressedAt = null;
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => { pointer = null; setHovered(NONE); });
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      const lines = e.deltaMode === 1 ? 24 : e.deltaMode === 2 ? 400 : 1;
      zoomBy(Math.exp(Math.max(-0.5, Math.min(0.5, e.deltaY * lines * 0.0014))), ...place(e));
    }, { passive: false });
    addEventListener("keydown", onKey);
    new ResizeObserver(() => ask()).observe(canvas);

    for (const b of document.querySelectorAll("[data-mode]")) b.addEventListener("click", () => colorBy(b.dataset.mode));
    for (const key of ["boxes", "amodal", "cutaway"]) $(key).addEventListener("click", () => press(key, key));
    $("size").addEventListener("input", (e) => setSize(Number(e.target.value)));
    $("height").addEventListener("input", (e) => {
      const t = Number(e.target.value);
      state.cut = t >= 1 ? Infinity : bounds[0][2] + t * (bounds[1][2] - bounds[0][2]);
      ask();
    });
    $("home").addEventListener("click", goHome);
    $("top").addEventListener("click", goTop);
    $("shot").addEventListener("click", screenshot);
    $("theme").addEventListener("click", () => setTheme(!state.dark));
    $("help-open").addEventListener("click", () => $("help").showModal());
    $("card-close").addEventListener("click", () => isolate(NONE));
    $("card-zoom").addEventListener("click", () => zoomTo(state.selected));
    $("card-alone").addEventListener("click", () => press("card-alone", "alone"));
    $("panel-open").addEventListener("click", () => {
      const open = document.body.classList.toggle("panel");
      $("panel-open").setAttribute("aria-pressed", String(open));
    });
    $("search").addEventListener("input", buildObjects);
    $("sort").addEventListener("change", buildObjects);
    $("objects").addEventListener("click", (e) => {
      const row = e.target.closest("[data-id]");
      if (row) isolate(Number(row.dataset.id) === state.selected ? NONE : Number(row.dataset.id));
    });
    $("objects").addEventListener("dblclick", (e) => {
      const row = e.target.closest("[data-id]");
      if (row) { isolate(Number(row.dataset.id)); zoomTo(Number(row.dataset.id)); }
    });
    canvas.addEventListener("webglcontextlost", () => say("The graphics driver took its memory back. Reload the page.", false));
  }

  const keys = {
    Escape: () => isolate(NONE),
    1: () => colorBy("rgb"), 2: () => colorBy("instance"), 3: () => colorBy("class"), 4: () => colorBy("score"),
    0: goHome, t: goTop, p: screenshot, l: () => setTheme(!state.dark),
    b: () => press("boxes", "boxes"), c: () => press("cutaway", "cutaway"),
    a: () => { if (instances.amodal) press("amodal", "amodal"); },
    f: () => { if (state.selected !== NONE) zoomTo(state.selected); },
    n: () => stepThroughList(-1), m: () => stepThroughList(1),
    "[": () => setSize(state.size - 0.2), "]": () => setSize(state.size + 0.2),
    "+": () => zoomBy(0.88), "=": () => zoomBy(0.88), "-": () => zoomBy(1.14),
    "?": () => $("help").showModal(),
  };
  function onKey(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || $("help").open) return;
    const typing = e.target.matches("input:not([type=range]), select");
    if (typing) {
      if (e.key === "Escape") e.target.blur();
      return;
    }
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (arrow) {
      if (e.target.matches("input")) return;
      e.preventDefault();
      if (e.shiftKey) slideBy(-40 * arrow[0], -40 * arrow[1]);
      else turnBy(0.09 * arrow[0], -0.09 * arrow[1]);
      return;
    }
    const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (act) { act(); e.preventDefault(); }
  }

  // The name under the pointer, read from the id buffer when the view rests.
  let tipAsked = false;
  function askTip() {
    if (tipAsked || moving) return;
    tipAsked = true;
    requestAnimationFrame(() => {
      tipAsked = false;
      if (pointer && !fingers.size && !moving && target) setHovered(idAt(...pointer));
    });
  }
  function tipMayHaveChanged() { if (!moving && pointer && state.hovered !== NONE) placeTip(); }
  function setHovered(i) {
    const changed = i !== state.hovered;
    state.hovered = i;
    canvas.classList.toggle("over", i !== NONE);
    $("tip").hidden = i === NONE;
    if (i !== NONE) {
      $("tip").textContent = `${nameOf(i)} #${i} · ${scoreText(i)}`;
      placeTip();
    }
    if (changed) ask(false);
  }
  function placeTip() {
    if (!pointer) return;
    const x = Math.min(pointer[0] + 14, canvas.clientWidth - $("tip").offsetWidth - 8);
    $("tip").style.left = `${x}px`;
    $("tip").style.top = `${Math.max(8, pointer[1] - 32)}px`;
  }

  function say(text, busy) {
    $("message").hidden = false;
    $("message").querySelector(".spinner").hidden = !busy;
    $("message-text").textContent = text;
  }

  // ---------------------------------------------------------------- start

  function takeSample({ positions, colors }) {
    const step = Math.max(1, Math.floor(about.levels[0] / 3000));
    for (let i = 0; i < about.levels[0]; i += step) {
      const p = [0, 1, 2].map((a) => {
        const v = about.low[a] + about.unit[a] * positions[4 * i + a];
        return Math.min(bounds[1][a], Math.max(bounds[0][a], v));
      });
      sample.push([...p, colors[4 * i + 3]]);
    }
  }

  async function start() {
    buildHeading();
    if (!gl) throw new Error("This browser offers no WebGL 2. Switch on hardware acceleration or use a current browser.");
    if (!window.DecompressionStream) throw new Error("This browser is too old for the page. Use one from 2023 or later.");
    const arrays = interleave(await unpackPlanes());
    takeSample(arrays);
    upload(arrays);
    resize();
    Object.assign(camera, firstView());
    colorBy(state.mode);
    drawNow();
    // Reading one pixel waits until the frame is drawn.
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    window.gestalt3d.firstFrameMs = performance.now();
    $("message").hidden = true;
    buildLegend();
    buildObjects();
    listen();
    ask();
  }

  window.gestalt3d = {
    firstFrameMs: null,
    error: null,
    pick, isolate, colorBy, toggleClass, zoomTo,
    turn: turnBy,
    where: (i) => {
      // Where the middle of an instance's box lies on the canvas, for pointing at it.
      const box = boxOf(instances.boxes, i);
      const { right, up, back } = axes(camera.azimuth, camera.elevation);
      const q = along(box.slice(0, 3), [-1, along(camera.target, [camera.distance, back])]);
      const scale = canvas.clientHeight / (2 * TAN_Y) / -dot(q, back);
      return [canvas.clientWidth / 2 + scale * dot(q, right), canvas.clientHeight / 2 - scale * dot(q, up)];
    },
    state: () => ({ ...state, hiddenClasses: [...state.hiddenClasses], listed: [...listed], points: count, instances: total, camera: { ...camera } }),
  };
  start().catch((error) => {
    window.gestalt3d.error = String(error.message || error);
    say(window.gestalt3d.error, false);
  });
})();
