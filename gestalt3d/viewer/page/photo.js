// A photo and the instances at its pixels. Flat, pixel (row, column) reaches from (column, -row) to (column + 1, -row - 1); in
// the room the photo hangs before the eye of the camera that took it, or behind the shapes of its objects.
let photoProgram, photoImage, photoLabels, photoArray;

async function decodePhoto() {
  const image = new Image();
  image.src = photo.pixels;
  await image.decode();
  return image;
}
function uploadPhoto(layer, { labels, outlines, image }) {
  photoProgram = program(PHOTO_VERTEX, PHOTO_FRAGMENT);
  photoArray = gl.createVertexArray();
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  photoLabels = texture(gl.RG_INTEGER, gl.RG32UI, gl.UNSIGNED_INT, layer.width, layer.height, labels);
  photoImage = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, photoImage);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, image);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  if (outlines) uploadDrawing(outlines.ends, outlines.labels, { flat: true, shown: () => state.fade > 0 });
}
// The photo's colours, four bytes a pixel.
function colorsOfPhoto(image) {
  const sheet = element("canvas");
  [sheet.width, sheet.height] = [photo.width, photo.height];
  const ink = sheet.getContext("2d");
  ink.drawImage(image, 0, 0);
  return ink.getImageData(0, 0, photo.width, photo.height).data;
}

function uploadCamera(layer) {
  const [a, b, c, d] = layer.corners;
  const ends = [a, b, d, c].flatMap((p, k, around) => [...(layer.eye ? [layer.eye, p] : []), p, around[(k + 1) % 4]]);
  uploadDrawing(Float32Array.from(ends.flat()), new Uint32Array(ends.length / 2), { shown: () => isShown(layer) });
}

// From its upper left corner, with its upper edge and its left one.
function drawPhoto(corner, across, down) {
  const { at, p } = photoProgram;
  gl.useProgram(p);
  setCamera(photoProgram);
  setChoice(photoProgram);
  gl.uniform2f(at.size, photo.width, photo.height);
  gl.uniform3fv(at.corner, corner);
  gl.uniform3fv(at.across, across);
  gl.uniform3fv(at.down, down);
  gl.uniform1i(at.split, isSplit());
  gl.uniform1f(at.fade, state.fade);
  bindTextures([[at.instanceTable, instanceTable], [at.labels, photoLabels], [at.photo, photoImage]]);
  gl.bindVertexArray(photoArray);
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
}

const PHOTO_VERTEX = `#version 300 es
  precision highp float; precision highp int;
  uniform vec3 eye, right, up, back, lens, corner, across, down;
  uniform vec2 range, size;
  uniform bool split;
  out vec2 at;
  void main() {
    at = size * vec2(gl_VertexID & 1, gl_VertexID >> 1);
    vec3 q = corner + at.x / size.x * across + at.y / size.y * down - eye;
    float depth = -dot(q, back);
    float z = ((range.x + range.y) * depth - 2.0 * range.x * range.y) / (range.y - range.x);
    // The nearer half of the depth range is the chosen object's.
    if (split) z = 0.5 * (z + depth);
    gl_Position = vec4(lens.x * dot(q, right), lens.y * dot(q, up), z, depth);
  }`;
const PHOTO_FRAGMENT = `#version 300 es
  precision highp float; precision highp int; precision highp usampler2D;
  in vec2 at;
  uniform vec2 size;
  uniform int mode;
  uniform uint chosen;
  uniform bool alone;
  uniform float fade;
  uniform vec3 ghost;
  uniform sampler2D instanceTable, photo;
  uniform usampler2D labels;
  layout(location=0) out vec4 outColor;
  layout(location=1) out uvec2 outId;
  vec4 rowOf(uint label) { return texelFetch(instanceTable, ivec2(int(label) & 1023, int(label) >> 10), 0); }
  // Who is seen at a pixel, and who reaches there unseen.
  uvec2 labelsAt(vec2 p) {
    uvec2 both = texelFetch(labels, clamp(ivec2(floor(p)), ivec2(0), ivec2(size) - 1), 0).rg;
    return uvec2(rowOf(both.r).a > 0.75 ? both.r : 0u, rowOf(both.g).a > 0.75 ? both.g : 0u);
  }
  uint labelAt(vec2 p) { return labelsAt(p).r; }
  void main() {
    uvec2 both = labelsAt(at);
    uint label = both.r, hidden = fade > 0.0 ? both.g : 0u;
    // Nobody's pixel is pointed at as that of who hides there.
    if (label == 0u) label = hidden;
    bool isChosen = chosen != 0u && (both.r == chosen || hidden == chosen);
    if (chosen != 0u && !isChosen && alone) discard;
    vec3 color = texture(photo, at / size).rgb;
    if (chosen != 0u) {
      if (!isChosen) color = mix(ghost, vec3(dot(color, vec3(0.30, 0.59, 0.11))), 0.3);
    } else if (mode != 0 && both.r != 0u) {
      vec2 step = 1.5 * vec2(fwidth(at.x), fwidth(at.y));
      bool inner = labelAt(at + vec2(step.x, 0.0)) == label && labelAt(at - vec2(step.x, 0.0)) == label
        && labelAt(at + vec2(0.0, step.y)) == label && labelAt(at - vec2(0.0, step.y)) == label;
      color = mix(color, rowOf(label).rgb, inner ? 0.5 : 1.0);
    }
    if (hidden != 0u && (chosen == 0u || hidden == chosen)) {
      bool striped = mod(at.x + at.y, 0.014 * size.x) < 0.004 * size.x;
      color = mix(color, rowOf(hidden).rgb, fade * (striped ? 1.0 : 0.45));
    }
    outColor = vec4(color, 1.0);
    outId = uvec2(label + 1u, 0u);
  }`;
