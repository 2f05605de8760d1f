const number = new Intl.NumberFormat("en");
const UNIT = room ? room.unit : "m";
const lengthsOf = (box) => {
  const longest = Math.max(box[3], box[4], box[5]);
  const digits = longest < 0.1 ? 4 : longest < 1 ? 3 : 2;
  return `${box.slice(3, 6).map((v) => v.toFixed(digits)).join(" × ")} ${UNIT}`;
};
const scoreText = (i) => (instances.score[i] === null ? "–" : instances.score[i].toFixed(2));
const nameOf = (i) => className(classOf(i)).replaceAll("_", " ");
const MEANING = {
  Size: "Of the box around its visible points: along its own two level axes, and upright",
  Centre: "Of that box: x, y, z, with z up",
  Yaw: "By how much that box is turned about the upright axis, counterclockwise from above",
  Pixels: "Visible ones",
  Hidden: "Share of all its pixels that something else covers",
  Whole: "Size of the box around the whole object, hidden parts included",
};
function fillCard(i) {
  $("card-name").textContent = nameOf(i);
  $("card-id").textContent = `#${i}`;
  $("card-alone").setAttribute("aria-pressed", String(state.alone));
  const facts = [["Score", scoreText(i)], [photo ? "Pixels" : "Points", number.format(instances.points[i])]];
  if (photo && instances.whole) {
    const hidden = 1 - instances.points[i] / Math.max(1, instances.whole[i]);
    facts.push(["Hidden", `${Math.round(100 * Math.max(0, hidden))} %`]);
  }
  const flat = photo && !room && boxOf(space.boxes, i);
  if (flat) facts.push(["Size", `${flat[3]} × ${flat[4]} pixels`]);
  const box = boxOf(instances.boxes, i), whole = boxOf(instances.amodal, i);
  if (box) {
    const centre = [0, 1, 2].map((k) => (box[k] + room.origin[k]).toFixed(2));
    facts.push(["Size", lengthsOf(box)], ["Centre", `${centre.join(", ")} ${UNIT}`], ["Yaw", `${(box[6] * 180 / Math.PI).toFixed(1)}°`]);
  }
  if (whole) facts.push(["Whole", lengthsOf(whole)]);
  $("card-facts").replaceChildren(...facts.flatMap(([term, value]) => {
    const name = element("dt", "", term);
    name.title = MEANING[term] || "";
    return [name, element("dd", "", value)];
  }));
  $("card-zoom").disabled = !boxOf(space.boxes, i);
}
