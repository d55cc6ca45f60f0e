// The body in its attitude: a box with its axes, above a compass, seen from the south-west and from above.

import { css, element } from "./theme.js";

const DEGREE = Math.PI / 180;
const AZIMUTH = 25 * DEGREE;
const ELEVATION = 28 * DEGREE;
const RADIUS = 1.7; // of the compass
const GROUND = 0.55; // its distance below the centre of the box
const HALF = [1, 0.62, 0.18]; // of the box along the body axes: x forward, y right, z down
const FACES = [0, 1, 2].flatMap((axis) => [-1, 1].map((side) => ({ axis, side })));
const AXES = [["x", "--rejected"], ["y", "--good"], ["z", "--filter"]];

export class Attitude {
  // columns: names of roll, pitch and perhaps yaw, in degrees; parent: element that receives the drawing.
  constructor(columns, parent) {
    this.columns = columns;
    this.angles = null;
    this.canvas = element("canvas", { role: "img" });
    this.label = element("span");
    const title = element("b", {}, columns.length > 2 ? "attitude" : "attitude, heading unknown");
    this.figure = element("figure", { id: "attitude", class: "plot" }, element("figcaption", {}, title, this.label), this.canvas);
    parent.append(this.figure);
  }

  add(values) {
    const angles = this.columns.map((column) => values[column]);
    this.angles = angles.every((angle) => typeof angle === "number") ? angles : null;
  }

  draw() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const text = ["roll", "pitch", "yaw"].slice(0, this.columns.length)
      .map((name, k) => `${name} ${this.angles ? this.angles[k].toFixed(1) : "–"}°`).join("  ");
    this.label.textContent = text;
    canvas.setAttribute("aria-label", `attitude: ${text}`);
    const pen = canvas.getContext("2d");
    const size = Math.min(width / 4.4, height / 2.8);
    pen.setTransform(scale * size, 0, 0, scale * size, (scale * width) / 2, scale * height * 0.46);
    pen.font = "0.26px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    this.drawCompass(pen);
    if (this.angles) {
      this.drawBody(pen, rotation(...this.angles));
    }
  }

  drawCompass(pen) {
    const ring = Array.from({ length: 73 }, (_, k) => [RADIUS * Math.cos(k * 5 * DEGREE), RADIUS * Math.sin(k * 5 * DEGREE), GROUND]);
    pen.strokeStyle = css("--edge");
    pen.lineWidth = 0.02;
    trace(pen, ring);
    pen.stroke();
    if (this.columns.length > 2) {
      pen.fillStyle = css("--muted");
      [["N", 1, 0], ["E", 0, 1], ["S", -1, 0], ["W", 0, -1]].forEach(([name, north, east]) => {
        pen.fillText(name, ...screen([1.14 * RADIUS * north, 1.14 * RADIUS * east, GROUND]));
      });
    }
  }

  // The box hides the axes that point away from the viewer.
  drawBody(pen, matrix) {
    const axes = AXES.map(([name, colour], k) => {
      const tip = turn(matrix, [0, 1, 2].map((axis) => (axis === k ? HALF[k] + 0.55 : 0)));
      return { name, colour, tip, start: turn(matrix, [0, 1, 2].map((axis) => (axis === k ? HALF[k] : 0))) };
    });
    const isBehind = (axis) => depth(axis.tip) > 0;
    axes.filter(isBehind).forEach((axis) => drawAxis(pen, axis));
    for (const { axis, side } of FACES) {
      const normal = turn(matrix, [0, 1, 2].map((k) => (k === axis ? side : 0)));
      if (depth(normal) < 0) {
        pen.fillStyle = shade(axis, side, -normal[2]);
        trace(pen, corners(axis, side).map((corner) => turn(matrix, corner)));
        pen.fill();
        pen.strokeStyle = css("--panel");
        pen.lineWidth = 0.025;
        pen.stroke();
      }
    }
    axes.filter((axis) => !isBehind(axis)).forEach((axis) => drawAxis(pen, axis));
  }
}

function drawAxis(pen, { name, colour, start, tip }) {
  pen.strokeStyle = pen.fillStyle = css(colour);
  pen.lineWidth = 0.045;
  trace(pen, [start, tip]);
  pen.stroke();
  pen.fillText(name, ...screen(tip.map((value, k) => value + 0.25 * (value - start[k]))));
}

// The front face is red, the upper side light.
function shade(axis, side, up) {
  const light = 46 + 14 * up;
  return axis === 0 && side === 1 ? `hsl(4 62% ${light}%)` : `hsl(212 22% ${light + 6}%)`;
}

function corners(axis, side) {
  const [a, b] = [0, 1, 2].filter((k) => k !== axis);
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([first, second]) => {
    const corner = [0, 0, 0];
    corner[axis] = side * HALF[axis];
    corner[a] = first * HALF[a];
    corner[b] = second * HALF[b];
    return corner;
  });
}

// Rotation from body to north-east-down axes: first roll, then pitch, then yaw.
export function rotation(roll, pitch, yaw = 0) {
  const [cr, cp, cy] = [roll, pitch, yaw].map((angle) => Math.cos(angle * DEGREE));
  const [sr, sp, sy] = [roll, pitch, yaw].map((angle) => Math.sin(angle * DEGREE));
  return [
    [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
    [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
    [-sp, cp * sr, cp * cr],
  ];
}

function turn(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, value, k) => sum + value * vector[k], 0));
}

// Distance from the viewer of a point in north-east-down axes.
function depth([north, east, down]) {
  return Math.cos(ELEVATION) * (north * Math.cos(AZIMUTH) + east * Math.sin(AZIMUTH)) + down * Math.sin(ELEVATION);
}

function screen([north, east, down]) {
  const forward = north * Math.cos(AZIMUTH) + east * Math.sin(AZIMUTH);
  return [east * Math.cos(AZIMUTH) - north * Math.sin(AZIMUTH), down * Math.cos(ELEVATION) - forward * Math.sin(ELEVATION)];
}

function trace(pen, points) {
  pen.beginPath();
  points.forEach((point, k) => pen[k ? "lineTo" : "moveTo"](...screen(point)));
  if (points.length > 2) {
    pen.closePath();
  }
}
