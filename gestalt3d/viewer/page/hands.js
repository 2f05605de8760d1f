function openPanel(open) {
  document.body.classList.toggle("panel", open);
  $("panel-open").setAttribute("aria-pressed", String(open));
  refit();
}
// From the list: on a narrow screen the list gives way to what was chosen.
function choose(i) {
  isolate(i);
  if (i === NONE || !narrow()) return;
  openPanel(false);
  zoomTo(i);
}
function press(id, key) {
  state[key] = !state[key];
  $(id).setAttribute("aria-pressed", String(state[key]));
  ask();
}
function screenshot() {
  drawNow();
  canvas.toBlob((blob) => {
    const link = element("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${about.title.replace(/[^\w.-]+/g, "_") || "scan"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  });
}
function goHome() {
  state.cut = Infinity;
  $("height").value = 1;
  go(firstView);
}
const goTop = () => go(topView);
function changeSpace() {
  if (!(photo && room)) return;
  enter(!state.flat);
  setHovered(NONE);
  aim = firstView;
  fly(firstView(), true);
}
function setFade(value) {
  state.fade = value;
  $("fade").value = value;
  ask();
}
// In the photo hidden parts come and go by and by.
function toggleFade() {
  const goal = state.fade > 0 ? 0 : 1, step = () => {
    setFade(goal ? Math.min(1, state.fade + 0.08) : Math.max(0, state.fade - 0.08));
    if (state.fade !== goal) requestAnimationFrame(step);
  };
  step();
}
function setSize(value) {
  state.size = Math.min(2, Math.max(-2, value));
  $("size").value = state.size;
  ask();
}

const fingers = new Map();
let pressedAt = null, pointer = null, lastTap = 0;
const place = (e) => {
  const box = canvas.getBoundingClientRect();
  return [e.clientX - box.left, e.clientY - box.top];
};
function listen() {
  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    cancelAnimationFrame(flight);
    fingers.set(e.pointerId, place(e));
    pressedAt = fingers.size === 1 && e.button === 0 ? place(e) : null;
    canvas.classList.add("turning");
    setHovered(NONE);
  });
  canvas.addEventListener("pointermove", (e) => {
    const now = place(e), before = fingers.get(e.pointerId);
    pointer = now;
    if (!before) return askTip();
    if (pressedAt && Math.hypot(now[0] - pressedAt[0], now[1] - pressedAt[1]) < 5) return;
    pressedAt = null;
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== e.pointerId)[1];
      const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      zoomBy(gap(before) / Math.max(1, gap(now)));
      slideBy(dx / 2, dy / 2);
    } else if (e.shiftKey || e.buttons & 6) slideBy(dx, dy);
    else turnBy(dx * TURN, dy * TURN);
    fingers.set(e.pointerId, now);
  });
  const release = (e) => {
    fingers.delete(e.pointerId);
    if (!fingers.size) canvas.classList.remove("turning");
    if (e.type === "pointerup" && pressedAt) {
      const i = state.measuring ? NONE : pick(...pressedAt);
      if (state.measuring) measureAt(...pressedAt);
      if (performance.now() - lastTap < 350 && i !== NONE) zoomTo(i);
      lastTap = performance.now();
    }
    pressedAt = null;
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { pointer = null; setHovered(NONE); });
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    const lines = e.deltaMode === 1 ? 24 : e.deltaMode === 2 ? 400 : 1;
    zoomBy(Math.exp(Math.max(-0.5, Math.min(0.5, e.deltaY * lines * 0.0014))), ...place(e));
  }, { passive: false });
  addEventListener("keydown", onKey);
  new ResizeObserver(() => { refit(); ask(); }).observe(canvas);

  for (const b of document.querySelectorAll("[data-mode]")) b.addEventListener("click", () => colorBy(b.dataset.mode));
  for (const key of ["boxes", "amodal", "cutaway"]) $(key).addEventListener("click", () => press(key, key));
  $("fade").addEventListener("input", (e) => setFade(Number(e.target.value)));
  $("size").addEventListener("input", (e) => setSize(Number(e.target.value)));
  $("height").addEventListener("input", (e) => {
    const t = Number(e.target.value);
    const [low, high] = room.bounds.map((corner) => corner[2]);
    state.cut = t >= 1 ? Infinity : low + t * (high - low);
    ask();
  });
  $("home").addEventListener("click", goHome);
  $("flat").addEventListener("click", changeSpace);
  $("top").addEventListener("click", goTop);
  $("shot").addEventListener("click", screenshot);
  $("theme").addEventListener("click", () => setTheme(!state.dark));
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("card-close").addEventListener("click", () => isolate(NONE));
  $("card-zoom").addEventListener("click", () => zoomTo(state.selected));
  $("card-alone").addEventListener("click", () => press("card-alone", "alone"));
  $("panel-open").addEventListener("click", () => openPanel(!document.body.classList.contains("panel")));
  $("panel-close").addEventListener("click", () => openPanel(false));
  $("classes-all").addEventListener("click", () => { state.hiddenClasses.clear(); refreshClasses(); });
  $("measure").addEventListener("click", () => measure(!state.measuring));
  $("least").addEventListener("input", (e) => keepScoresFrom(Number(e.target.value)));
  $("search").addEventListener("input", buildObjects);
  for (const b of document.querySelectorAll("[data-sort]")) b.addEventListener("click", () => sortBy(b.dataset.sort));
  $("objects").addEventListener("click", (e) => {
    const row = e.target.closest("[data-id]");
    if (row) choose(Number(row.dataset.id) === state.selected ? NONE : Number(row.dataset.id));
  });
  $("objects").addEventListener("dblclick", (e) => {
    const row = e.target.closest("[data-id]");
    if (row) { isolate(Number(row.dataset.id)); zoomTo(Number(row.dataset.id)); }
  });
  canvas.addEventListener("webglcontextlost", () => say("The graphics driver took its memory back. Reload the page.", false));
}

const keys = {
  Escape: () => (state.measuring ? measure(false) : isolate(NONE)),
  1: () => colorBy("rgb"), 2: () => colorBy("instance"), 3: () => colorBy("class"), 4: () => colorBy("score"),
  0: goHome, t: () => { if (!state.flat) goTop(); }, p: screenshot, l: () => setTheme(!state.dark),
  b: () => press("boxes", "boxes"), c: () => press("cutaway", "cutaway"),
  a: () => { if (!$("amodal").hidden) press("amodal", "amodal"); else if (!$("fade-row").hidden) toggleFade(); },
  r: () => { if (!state.flat) measure(!state.measuring); },
  v: changeSpace,
  f: () => { if (state.selected !== NONE) zoomTo(state.selected); },
  n: () => stepThroughList(-1), m: () => stepThroughList(1),
  "[": () => setSize(state.size - 0.2), "]": () => setSize(state.size + 0.2),
  "+": () => zoomBy(0.88), "=": () => zoomBy(0.88), "-": () => zoomBy(1.14),
  "?": () => $("help").showModal(),
};
function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || $("help").open) return;
  const typing = e.target.matches("input:not([type=range]), select");
  if (typing) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (arrow) {
    if (e.target.matches("input")) return;
    e.preventDefault();
    if (e.shiftKey || state.flat) slideBy(-40 * arrow[0], -40 * arrow[1]);
    else turnBy(0.09 * arrow[0], -0.09 * arrow[1]);
    return;
  }
  const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (act) { act(); e.preventDefault(); }
}

// The name under the pointer, read from the id buffer when the view rests.
let tipAsked = false;
function askTip() {
  if (tipAsked || moving) return;
  tipAsked = true;
  requestAnimationFrame(() => {
    tipAsked = false;
    if (pointer && !state.measuring && !fingers.size && !moving && target) setHovered(idAt(...pointer));
  });
}
function tipMayHaveChanged() { if (!moving && pointer && state.hovered !== NONE) placeTip(); }
function setHovered(i) {
  const changed = i !== state.hovered;
  state.hovered = i;
  canvas.classList.toggle("over", i !== NONE);
  $("tip").hidden = i === NONE;
  if (i !== NONE) {
    $("tip").textContent = `${nameOf(i)} #${i} · ${scoreText(i)}`;
    placeTip();
  }
  if (changed) ask(false);
}
function placeTip() {
  if (!pointer) return;
  const x = Math.min(pointer[0] + 14, canvas.clientWidth - $("tip").offsetWidth - 8);
  $("tip").style.left = `${x}px`;
  $("tip").style.top = `${Math.max(8, pointer[1] - 32)}px`;
}

function say(text, busy) {
  $("message").hidden = false;
  $("message").querySelector(".spinner").hidden = !busy;
  $("message-text").textContent = text;
}
