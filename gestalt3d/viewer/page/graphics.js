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

let target = null;
function resize() {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (target && target.width === width && target.height === height) return;
  if (target) {
    for (const f of target.frames) gl.deleteFramebuffer(f);
    for (const t of target.textures) gl.deleteTexture(t);
  }
  canvas.width = width;
  canvas.height = height;
  const rgba = () => texture(gl.RGBA, gl.RGBA8, gl.UNSIGNED_BYTE, width, height);
  const depth = () => texture(gl.DEPTH_COMPONENT, gl.DEPTH_COMPONENT24, gl.UNSIGNED_INT, width, height);
  const ids = texture(gl.RG_INTEGER, gl.RG32UI, gl.UNSIGNED_INT, width, height);
  const [colors, depths] = [rgba(), depth()];
  target = { width, height, scale, colors, ids, depths, textures: [colors, ids, depths] };
  target.frame = frameOf(colors, ids, depths);
  target.frames = [target.frame];
  if (ghosts.length) {
    // They have a depth of their own: what is seen through them keeps its shade. The ids are those of all.
    const [ghostColors, ghostDepths] = [rgba(), depth()];
    target.ghostColors = ghostColors;
    target.ghostFrame = frameOf(ghostColors, ids, ghostDepths);
    target.frames.push(target.ghostFrame);
    target.textures.push(ghostColors, ghostDepths);
  }
}
function frameOf(colors, ids, depths) {
  const frame = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, colors, 0);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT1, gl.TEXTURE_2D, ids, 0);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depths, 0);
  gl.drawBuffers([gl.COLOR_ATTACHMENT0, gl.COLOR_ATTACHMENT1]);
  return frame;
}

function bindTextures(pairs) {
  pairs.forEach(([location, t], unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, t);
    gl.uniform1i(location, unit);
  });
}
