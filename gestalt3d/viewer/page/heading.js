const some = (n, noun) => `${number.format(n)} ${noun}${n === 1 ? "" : "s"}`;
const ELEMENT = photo ? "pixel" : "point";

function buildHeading() {
  const kept = instances.score.filter((s) => !tooLow(s)).length;
  const objects = kept < total ? `${number.format(kept)} of ${some(total, "object")}` : some(total, "object");
  const facts = photo ? [`${number.format(photo.width)} × ${number.format(photo.height)} pixels`] : [shownPoints()];
  facts.push(about.method || total ? objects : `a ${photo ? "photo" : "scan"} alone`, scans.length && extentOfRoom(), about.method);
  $("facts").textContent = facts.filter(Boolean).join(" · ");
}
function shownPoints() {
  return `${count < about.elements ? `${number.format(count)} of ` : ""}${some(about.elements, "point")}`;
}
function extentOfRoom() {
  const { bounds, extent } = room, { reach } = spaces.room;
  const most = [0, 1, 2].map((a) => bounds[1][a] - bounds[0][a]);
  const digits = reach < 0.3 ? 3 : reach < 3 ? 2 : 1;
  const size = (sides) => `${sides.map((v) => v.toFixed(digits)).join(" × ")} m`;
  // A few points far out make a scan large; both sizes are said then.
  const outliers = extent.some((v, a) => v > 1.15 * most[a] && v - most[a] > 0.05 * reach);
  return outliers ? `${size(extent)}, but for the outermost points ${size(most)}` : size(extent);
}
function buildControls() {
  $("notes").replaceChildren(...about.notes.map((note) => element("li", "", note)));
  document.querySelector("[data-sort=points]").firstChild.textContent = photo ? "Pixels" : "Points";
  $("boxes").hidden = !total || !(room && instances.boxes.some((v) => v !== null));
  for (const id of ["size-row", "cutaway", "measure"]) $(id).hidden = !scans.length;
  for (const e of document.querySelectorAll("[data-both]")) e.hidden = !(photo && room);
  if (!about.hasColor) document.querySelector("[data-mode=rgb]").textContent = "Height";
  const classless = !about.classPoints.slice(0, unknown).some((n) => n > 0);
  $("class-section").hidden = classless && !total;
  for (const id of ["find", "object-columns", "least-row"]) $(id).hidden = !total;
  for (const [mode, off] of [["instance", !total], ["score", !total], ["class", classless]]) {
    document.querySelector(`[data-mode=${mode}]`).disabled = off;
  }
  const bar = $("ramp-bar").getContext("2d");
  for (let k = 0; k < 256; k++) {
    bar.fillStyle = css(rampColor(k / 255));
    bar.fillRect(k, 0, 1, 1);
  }
}
