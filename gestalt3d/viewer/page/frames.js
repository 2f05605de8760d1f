// Points come in levels: each prefix is an even sample of the whole. While the view moves, slow machines draw a prefix.
const FULL = 4;
let level = FULL, moving = false, needPoints = false, needScreen = false, asked = false;
let settle = 0, frameMs = 0, lastFrame = 0;

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
    else if (frameMs < 22 && level < FULL) level++;
  }
  lastFrame = moving ? now : 0;
  resize();
  if (needPoints) drawScene(moving ? level : FULL);
  if (needScreen) present();
  needPoints = needScreen = false;
  tipMayHaveChanged();
  if (ends.length) placeRuler();
}
function drawNow() {
  resize();
  drawScene(FULL);
  present();
}
