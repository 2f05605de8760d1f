// The instance and the point (a row) that are drawn at a pixel, or near it: surfaces may be sparse.
function at(x, y) {
  const nothing = { instance: NONE, row: NONE };
  if (!target || !Number.isFinite(x) || !Number.isFinite(y)) return nothing;
  const px = Math.round(x * target.scale), py = target.height - 1 - Math.round(y * target.scale);
  const near = Math.round(3 * target.scale), side = 2 * near + 1;
  const ids = new Uint32Array(4 * side * side);
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  gl.readBuffer(gl.COLOR_ATTACHMENT1);
  gl.readPixels(px - near, py - near, side, side, gl.RGBA_INTEGER, gl.UNSIGNED_INT, ids);
  // The nearest pixel counts; label 1 is a point of no instance.
  let best = NONE, least = Infinity;
  for (let k = 0; k < side * side; k++) {
    const d = (k % side - near) ** 2 + (Math.floor(k / side) - near) ** 2;
    if (ids[4 * k] && d < least) { least = d; best = k; }
  }
  if (best === NONE) return nothing;
  const label = ids[4 * best];
  return { instance: label >= 2 ? label - 2 : NONE, row: ids[4 * best + 1] - 1 };
}
const idAt = (x, y) => at(x, y).instance;

// On a narrow screen heading and card leave only the middle.
function isCovered(i) {
  const box = boxOf(space.boxes, i), { top, bottom } = taken();
  const place = box && onCanvas(box.slice(0, 3));
  return !place || place[1] < top || place[1] > canvas.clientHeight - bottom;
}

function isolate(i) {
  if (!Number.isInteger(i) || i < 0 || i >= total) i = NONE;
  state.selected = i;
  if (i === NONE) state.alone = false;
  $("card").hidden = i === NONE;
  if (i !== NONE) {
    fillCard(i);
    paintSwatches();
    if (narrow() && isCovered(i)) zoomTo(i);
  }
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
