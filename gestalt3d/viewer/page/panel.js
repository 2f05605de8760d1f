function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

let legend = [];
function buildLegend() {
  const objects = new Map();
  for (let i = 0; i < total; i++) {
    if (!objects.has(classOf(i))) objects.set(classOf(i), []);
    if (!tooLow(instances.score[i])) objects.get(classOf(i)).push(i);
  }
  const found = (c) => (objects.get(c) || []).length;
  const ids = [...classes.keys(), unknown].filter((c) => objects.has(c) || about.classPoints[c] > 0);
  ids.sort((a, b) => found(b) - found(a) || about.classPoints[b] - about.classPoints[a]);
  legend = ids.map((id) => {
    const li = element("li");
    const button = element("button", "row");
    const swatch = element("span", "swatch");
    const name = className(id).replaceAll("_", " ");
    const points = `${some(about.classPoints[id], ELEMENT)} shown in all`;
    button.append(swatch, element("span", "name", name), element("span", "count", found(id) ? number.format(found(id)) : "–"));
    button.setAttribute("aria-pressed", String(!state.hiddenClasses.has(id)));
    button.title = `Hide or show ${name}; ${points}`;
    button.addEventListener("click", () => toggleClass(id));
    const only = element("button", "only", "only");
    only.setAttribute("aria-label", `Show only ${name}`);
    only.addEventListener("click", () => onlyClass(id));
    li.append(button, only);
    return { id, li, button, swatch, members: objects.get(id) || [] };
  });
  $("classes").replaceChildren(...legend.map((e) => e.li));
  $("class-total").textContent = number.format(legend.length);
  $("classes-all").hidden = state.hiddenClasses.size === 0;
}

// As the picture shows the class: one colour, or stripes of those of its first objects.
function swatchOf(id, members) {
  if (state.mode === "class") return css(classColor(id));
  if (state.mode === "rgb") return css(meanColors.ofClass[id]);
  if (!members.length) return `rgb(${theme().quiet[0] * 255 + 50} ${theme().quiet[0] * 255 + 52} ${theme().quiet[0] * 255 + 56})`;
  const colors = members.slice(0, 4).map(instanceColor);
  const stops = colors.map((c, k) => `${css(c)} ${100 * k / colors.length}% ${100 * (k + 1) / colors.length}%`);
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

const sorting = { by: "score", down: true };
function sortBy(by) {
  sorting.down = by === sorting.by ? !sorting.down : by === "score" || by === "points";
  sorting.by = by;
  buildObjects();
}

const rows = new Map();
let listed = [];
function buildObjects() {
  const ascending = {
    score: (a, b) => (instances.score[a] ?? -1) - (instances.score[b] ?? -1),
    class: (a, b) => nameOf(a).localeCompare(nameOf(b)),
    points: (a, b) => instances.points[a] - instances.points[b],
    id: (a, b) => a - b,
  }[sorting.by];
  const order = (a, b) => (sorting.down ? ascending(b, a) : ascending(a, b)) || a - b;
  const wanted = $("search").value.trim().toLowerCase();
  const matches = (i) => (wanted.startsWith("#") ? `#${i}` === wanted : nameOf(i).toLowerCase().includes(wanted));
  listed = [...Array(total).keys()].filter((i) => !tooLow(instances.score[i]) && (!wanted || matches(i))).sort(order);
  rows.clear();
  const items = listed.map((i) => {
    const li = element("li"), row = element("button", "row");
    const swatch = element("span", "swatch");
    row.append(swatch, element("span", "name", nameOf(i)), element("span", "number", `#${i}`), element("span", "count", number.format(instances.points[i])), element("span", "score", scoreText(i)));
    row.title = `${nameOf(i)} #${i}: ${some(instances.points[i], ELEMENT)}, score ${scoreText(i)}`;
    row.dataset.id = i;
    if (i === state.selected) row.setAttribute("aria-current", "true");
    rows.set(i, row);
    li.append(row);
    return li;
  });
  $("objects").replaceChildren(...items);
  $("nothing").hidden = listed.length > 0;
  const none = about.method ? "No objects were found here." : "This is a scan alone; “gestalt3d segment” finds the objects in it.";
  $("nothing").textContent = total ? "Nothing matches." : none;
  for (const b of document.querySelectorAll("[data-sort]")) {
    const own = b.dataset.sort === sorting.by;
    b.setAttribute("aria-pressed", String(own));
    b.querySelector("span").textContent = own ? (sorting.down ? "▾" : "▴") : "";
  }
  $("object-total").textContent = number.format(listed.length);
  paintSwatches();
}
function paintSwatches() {
  for (const { id, swatch, members } of legend) swatch.style.background = swatchOf(id, members);
  const shown = (i) => css(state.mode === "rgb" ? meanColors.ofInstance[i] : instanceColor(i));
  for (const [i, row] of rows) row.firstChild.style.background = shown(i);
  if (state.selected !== NONE) $("card-swatch").style.background = shown(state.selected);
}
function stepThroughList(by) {
  if (!listed.length) return;
  const at = listed.indexOf(state.selected);
  isolate(listed[(at < 0 ? (by > 0 ? 0 : -1) : at + by + listed.length) % listed.length] ?? listed.at(-1));
}
