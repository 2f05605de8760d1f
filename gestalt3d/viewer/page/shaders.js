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
  flat out uvec2 id;
  void main() {
    vec3 p = low + unit * grid;
    vec4 kind = texelFetch(classTable, ivec2(int(cls) & 1023, int(cls) >> 10), 0);
    vec4 own = texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0);
    // An instance of too low a score is none.
    uint shown = own.a > 0.25 && own.a < 0.75 ? 0u : label;
    id = uvec2(shown + 1u, uint(gl_VertexID) + 1u);
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
const POINT_FRAGMENT = `#version 300 es
  precision highp float; precision highp int;
  flat in vec3 color;
  flat in uvec2 id;
  layout(location=0) out vec4 outColor;
  layout(location=1) out uvec2 outId;
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
    bool shown = ((whole & 1u) == 1u ? showWhole : showVisible) && own.a > 0.75 && whole < 2u;
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
