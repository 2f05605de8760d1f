// One looks into a room, in metres, or at a photo, whose pixels are the unit: x to the right, y up, the eye above.
function makeSpace(bounds, boxes, view) {
  return {
    bounds, boxes, view,
    middle: [0, 1, 2].map((a) => (bounds[0][a] + bounds[1][a]) / 2),
    reach: Math.max(1e-3, Math.hypot(...[0, 1, 2].map((a) => bounds[1][a] - bounds[0][a]))),
    sample: [], // Points to fit the first view to: x, y, z, cutaway code.
  };
}
const radians = (degrees) => degrees * Math.PI / 180;
const spaces = {
  room: room && makeSpace(room.bounds, room.places || instances.boxes, { azimuth: radians(room.view.azimuth), elevation: radians(room.view.elevation) }),
  photo: photo && photoSpace(photo),
};
let space = state.flat ? spaces.photo : spaces.room;

function photoSpace({ width, height, boxes }) {
  const inSpace = Array.from({ length: total }, (_, i) => {
    const [left, top, right, bottom] = boxes.slice(4 * i, 4 * i + 4);
    return left === null ? Array(7).fill(null) : [(left + right) / 2, -(top + bottom) / 2, 0, right - left, bottom - top, 0, 0];
  });
  const made = makeSpace([[0, -height, 0], [width, 0, 0]], inSpace.flat(), { azimuth: -Math.PI / 2, elevation: Math.PI / 2 });
  for (const x of [0, width]) for (const y of [0, -height]) made.sample.push([x, y, 0, 0]);
  return made;
}

// Between photo and room, where there are both.
function enter(flat) {
  state.flat = flat;
  space = flat ? spaces.photo : spaces.room;
  document.body.classList.toggle("flat", flat);
  $("flat").hidden = !(photo && room);
  $("flat").setAttribute("aria-pressed", String(flat));
  $("amodal").hidden = flat || !instances.amodal;
  $("fade-row").hidden = !(photo && photo.hiddenBytes);
  canvas.setAttribute("aria-label", flat
    ? "Photo. Drag to move it, click an object to isolate it, press question mark for keys."
    : "Point cloud. Drag to turn, click an object to isolate it, press question mark for keys.");
  if (state.measuring) measure(false);
}
