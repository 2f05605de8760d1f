async function start() {
  buildHeading();
  buildControls();
  if (!gl) throw new Error("This browser offers no WebGL 2. Switch on hardware acceleration or use a current browser.");
  if (!window.DecompressionStream) throw new Error("This browser is too old for the page. Use one from 2023 or later.");
  const from = await unpack();
  const unpacked = layers.map((layer) => UNPACK[layer.kind](layer, from));
  let first = 0;
  for (const layer of scans) {
    const arrays = unpacked[layers.indexOf(layer)];
    Object.assign(layer, { first, positions: arrays.positions });
    first += layer.rows;
    takeSample(layer, arrays);
  }
  if (room && !scans.length) for (const x of [0, 1]) for (const y of [0, 1]) for (const z of [0, 1]) spaces.room.sample.push([room.bounds[x][0], room.bounds[y][1], room.bounds[z][2], 0]);
  if (room) spaces.room.sample.push(...room.beside.map((p) => [...p, 0]));
  if (photo) {
    const arrays = unpacked[layers.indexOf(photo)];
    arrays.image = await decodePhoto();
    takeMeanColors(photo.rows, colorsOfPhoto(arrays.image), (i) => arrays.labels[2 * i]);
  } else if (scans.length) {
    const { positions, colors, labels } = unpacked[layers.indexOf(scans[0])];
    takeMeanColors(scans[0].rows, colors, (i) => labels[i], (i) => positions[4 * i + 3]);
  }
  upload(unpacked);
  enter(state.flat);
  resize();
  refit();
  colorBy(state.mode);
  drawNow();
  // Reading one pixel waits until the frame is drawn.
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  window.gestalt3d.firstFrameMs = performance.now();
  $("message").hidden = true;
  buildLayers(unpacked);
  buildLegend();
  buildObjects();
  listen();
  ask();
}

window.gestalt3d = {
  firstFrameMs: null,
  error: null,
  pick, isolate, colorBy, toggleClass, zoomTo, keepScoresFrom, setFade,
  measured: () => (ends.length === 2 ? { ends, ...lengths() } : null),
  turn: turnBy,
  // Where a place, or the middle of an instance's box, lies on the canvas, for pointing at it.
  onCanvas,
  where: (i) => onCanvas(boxOf(space.boxes, i).slice(0, 3)),
  state: () => ({ ...state, hiddenClasses: [...state.hiddenClasses], hiddenLayers: [...state.hiddenLayers].map((layer) => layer.name), listed: [...listed], points: count, instances: total, camera: { ...camera } }),
};
start().catch((error) => {
  window.gestalt3d.error = String(error.message || error);
  say(window.gestalt3d.error, false);
});
