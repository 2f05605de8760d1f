const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
// The page of one scan. `about` holds names, tables and boxes.
const { classes, instances, bounds } = about;
const count = about.points;
const total = instances.class.length;
const unknown = classes.length; // The last row of class tables: points without a class.
const canvas = $("canvas");
const TAN_Y = about.tanHalfFov;
const NONE = -1;

const state = {
  mode: total ? "instance" : "rgb",
  selected: NONE,
  hovered: NONE,
  alone: false,
  boxes: false,
  amodal: false,
  cutaway: true,
  size: 0,
  cut: Infinity,
  leastScore: 0,
  measuring: false,
  hiddenClasses: new Set(),
  dark: true,
};
