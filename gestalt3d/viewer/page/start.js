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
  buildControls();
  if (!gl) throw new Error("This browser offers no WebGL 2. Switch on hardware acceleration or use a current browser.");
  if (!window.DecompressionStream) throw new Error("This browser is too old for the page. Use one from 2023 or later.");
  const arrays = interleave(await unpackPlanes());
  takeSample(arrays);
  takeMeanColors(arrays);
  grid = arrays.positions;
  upload(arrays);
  resize();
  refit();
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
  pick, isolate, colorBy, toggleClass, zoomTo, keepScoresFrom,
  measured: () => (ends.length === 2 ? { ends, ...lengths() } : null),
  turn: turnBy,
  // Where the middle of an instance's box lies on the canvas, for pointing at it.
  where: (i) => onCanvas(boxOf(instances.boxes, i).slice(0, 3)),
  state: () => ({ ...state, hiddenClasses: [...state.hiddenClasses], listed: [...listed], points: count, instances: total, camera: { ...camera } }),
};
start().catch((error) => {
  window.gestalt3d.error = String(error.message || error);
  say(window.gestalt3d.error, false);
});
