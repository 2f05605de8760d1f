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
  uniform uint first;                                   // row of the first point, counted from 1; 0 for ghosts
  uniform int mode;
  uniform uint chosen;                                  // label of the isolated instance, 0 for none
  uniform bool alone, cutaway;
  uniform vec3 ghost;
  uniform vec2 quiet;
  uniform sampler2D instanceTable, classTable;
  flat out vec3 color;
  flat out uvec2 id;
  flat out float depth;
  void main() {
    vec3 p = low + unit * grid;
    vec4 kind = texelFetch(classTable, ivec2(int(cls) & 1023, int(cls) >> 10), 0);
    vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
    // An instance of too low a score is none.
    uint shown = own.a > 0.25 && own.a < 0.75 ? 0u : label;
    id = uvec2(shown + 1u, first == 0u ? 0u : uint(gl_VertexID) + first);
    bool isChosen = chosen != 0u && label == chosen;
    bool hidden = kind.a < 0.5 || p.z > cut;
    if (cutaway && code == 1u) hidden = hidden || eye.z > p.z;
    if (cutaway && code > 1u) {
      float a = float(code - 2u) * 0.02473695;
      vec2 away = eye.xy - p.xy;
      hidden = hidden || dot(away, vec2(cos(a), sin(a))) < -0.03 * length(away);
    }
    if (isChosen) hidden = false;
    if (chosen != 0u && !isChosen && (alone || first == 0u)) hidden = true;
    vec3 q = p - eye;
    depth = -dot(q, back);
    if (hidden || depth < range.x) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    vec3 grey = vec3(quiet.x + quiet.y * dot(base, vec3(0.30, 0.59, 0.11)));
    color = mode == 0 ? base : mode == 2 ? kind.rgb : shown == 0u ? grey : own.rgb;
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
// Whether the scan is seen in front of a ghost; the chosen object has the nearer half of the depth range.
const BEHIND = `
  ${DEPTH}
  uniform float opacity;
  bool isBehind(float depth) {
    ivec2 p = ivec2(gl_FragCoord.xy);
    float there = depthAt(p);
    return there > 0.0 && there < 1.01 * depth && !(split && texelFetch(depths, p, 0).r >= 0.5);
  }`;
const pointFragment = (ghostly) => `#version 300 es
  precision highp float; precision highp int;
  ${ghostly ? BEHIND : ""}
  flat in vec3 color;
  flat in uvec2 id;
  flat in float depth;
  layout(location=0) out vec4 outColor;
  layout(location=1) out uvec2 outId;
  void main() {
    vec2 c = 2.0 * gl_PointCoord - 1.0;
    if (dot(c, c) > 1.0${ghostly ? " || isBehind(depth)" : ""}) discard;
    outColor = vec4(color, ${ghostly ? "opacity" : "1.0"});
    outId = id;
  }`;
const SCREEN_VERTEX = `#version 300 es
  void main() { gl_Position = vec4(vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0, 0.0, 1.0); }`;
// Eye-dome lighting (Boucheny 2009): a pixel darkens by how much nearer its neighbours are. And outlines by id.
const SCREEN_FRAGMENT = `#version 300 es
  precision highp float; precision highp int; precision highp usampler2D;
  ${DEPTH}
  uniform sampler2D colors, ghosts;
  uniform bool haunted;
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
    if (haunted) {
      vec4 veil = texelFetch(ghosts, p, 0);
      color = mix(color, veil.rgb, veil.a);
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
