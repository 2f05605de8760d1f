const css = (rgb) => `rgb(${rgb.join(" ")})`;
const classOf = (i) => (instances.class[i] < 0 ? unknown : instances.class[i]);
const className = (c) => (c === unknown ? "unknown" : classes[c].name);
const classColor = (c) => (c === unknown ? about.unknownColor : classes[c].color);
const tableColor = (colors, i) => colors.slice(3 * i, 3 * i + 3);
function rampColor(score) {
  if (score === null || !Number.isFinite(score)) return about.unknownColor;
  const last = about.ramp.length / 3 - 1;
  return tableColor(about.ramp, Math.round(Math.min(1, Math.max(0, score)) * last));
}
function instanceColor(i) {
  if (state.mode === "class") return classColor(classOf(i));
  if (state.mode === "score") return rampColor(instances.score[i]);
  const own = tableColor(instances.color, i);
  const c = classOf(i);
  if (c === unknown || !classes[c].structure) return own;
  const grey = theme().structure;
  return own.map((v, k) => Math.round(0.2 * v + 0.8 * grey[k]));
}
const tooLow = (score) => state.leastScore > 0 && !(score >= state.leastScore);
function refreshTables() {
  const visible = (c) => (state.hiddenClasses.has(c) ? 0 : 255);
  const rows = [[0, 0, 0, 255]];
  for (let i = 0; i < total; i++) rows.push([...instanceColor(i), tooLow(instances.score[i]) ? 128 : visible(classOf(i))]);
  fillTable(instanceTable, rows);
  const kinds = classes.map((c, k) => [...c.color, visible(k)]);
  kinds.push([...about.unknownColor, visible(unknown)]);
  fillTable(classTable, kinds);
  ask();
}

function colorBy(mode) {
  if (!(mode in MODES)) throw new Error(`no mode ${mode}`);
  if (document.querySelector(`[data-mode=${mode}]`).disabled) return;
  state.mode = mode;
  for (const b of document.querySelectorAll("[data-mode]")) b.setAttribute("aria-checked", String(b.dataset.mode === mode));
  $("ramp").hidden = mode !== "score";
  refreshTables();
  paintSwatches();
  ask();
}
function setTheme(dark) {
  state.dark = dark;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  refreshTables();
  paintSwatches();
}
function keepScoresFrom(least) {
  state.leastScore = least;
  $("least").value = least;
  $("least-text").textContent = least.toFixed(2);
  if (state.selected !== NONE && tooLow(instances.score[state.selected])) isolate(NONE);
  refreshTables();
  buildHeading();
  buildLegend();
  buildObjects();
}
function toggleClass(c, shown) {
  if (shown === undefined) shown = state.hiddenClasses.has(c);
  if (shown) state.hiddenClasses.delete(c); else state.hiddenClasses.add(c);
  refreshClasses();
}
function onlyClass(c) {
  state.hiddenClasses = new Set(legend.map((e) => e.id).filter((id) => id !== c));
  refreshClasses();
}
function refreshClasses() {
  for (const { id, button } of legend) button.setAttribute("aria-pressed", String(!state.hiddenClasses.has(id)));
  $("classes-all").hidden = state.hiddenClasses.size === 0;
  refreshTables();
}

// The mean of the own colours of an object's points or pixels, and of a class's.
const blank = (n) => Array(n).fill(about.unknownColor);
const meanColors = { ofInstance: blank(total), ofClass: blank(unknown + 1) };
function takeMeanColors(n, colors, labelOf, rowOf = (i) => (labelOf(i) ? classOf(labelOf(i) - 1) : unknown)) {
  const means = (groups, groupOf) => {
    const sums = new Float64Array(4 * groups);
    for (let i = 0; i < n; i++) {
      const g = 4 * groupOf(i);
      if (g < 0) continue;
      for (let k = 0; k < 3; k++) sums[g + k] += colors[4 * i + k];
      sums[g + 3]++;
    }
    return Array.from({ length: groups }, (_, g) =>
      sums[4 * g + 3] ? [0, 1, 2].map((k) => Math.round(sums[4 * g + k] / sums[4 * g + 3])) : about.unknownColor);
  };
  meanColors.ofInstance = means(total, (i) => labelOf(i) - 1);
  meanColors.ofClass = means(unknown + 1, rowOf);
}
