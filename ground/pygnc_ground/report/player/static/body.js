// The satellite as a body in inertial axes: its axes by the estimate and by the truth, Sun, magnetic field, Earth.

import { View } from "./stage.js";
import { css } from "./theme.js";

const { ArrowHelper, BoxGeometry, BufferGeometry, EdgesGeometry, Group, Line, LineBasicMaterial, LineDashedMaterial, LineSegments, Mesh, MeshBasicMaterial, Vector3 } = globalThis.THREE ?? {};
const HALF = [0.5, 0.5, 0.75], AXIS = 1.25, ARROW = 1.55, SAME_RAD = 0.3;
const AXES = ["--rejected", "--good", "--filter"];
export const ARROWS = [["Sun", "--sun"], ["field, model", "--filter"], ["field, measured", "--mirror"], ["Earth", "--muted"]];

export class Body extends View {
  constructor(node, motion, onChange) {
    super(node, { azimuth: 0.7, elevation: 0.35, distance: 6.2, range: [3, 14] }, onChange);
    this.motion = motion;
    this.body = new Group();
    const box = new BoxGeometry(...HALF.map(half => 2 * half * 0.55));
    this.faces = new Mesh(box, new MeshBasicMaterial({ transparent: true, opacity: 0.85 }));
    this.edges = new LineSegments(new EdgesGeometry(box), new LineBasicMaterial());
    this.axes = AXES.map((_, rank) => this.arrow(rank, AXIS));
    this.body.add(this.faces, this.edges, ...this.axes);
    this.truth = new Group();
    this.trueAxes = AXES.map((_, rank) => {
      const line = new Line(new BufferGeometry().setFromPoints([new Vector3(), new Vector3().setComponent(rank, 1.2 * AXIS)]), new LineDashedMaterial({ dashSize: 0.07, gapSize: 0.05 }));
      line.computeLineDistances();
      return line;
    });
    this.truth.add(...this.trueAxes);
    this.arrows = ARROWS.map(() => this.arrow(0, ARROW));
    this.scene.add(this.body, this.truth, ...this.arrows);
    this.paint();
  }

  arrow(rank, length) {
    return new ArrowHelper(new Vector3().setComponent(rank, 1), new Vector3(), length, 0x888888, 0.16, 0.09);
  }

  paint() {
    this.faces.material.color.set(css("--body"));
    this.edges.material.color.set(css("--edge"));
    this.axes.forEach((arrow, rank) => arrow.setColor(css(AXES[rank])));
    this.trueAxes.forEach((line, rank) => line.material.color.set(css(AXES[rank])));
    this.arrows.forEach((arrow, rank) => arrow.setColor(css(ARROWS[rank][1])));
  }

  update(time) {
    const { motion } = this, estimate = motion.attitude(time), truth = motion.attitude(time, "truth"), here = motion.position(time);
    this.axes.forEach(arrow => { arrow.visible = estimate !== null; });
    this.faces.material.opacity = estimate ? 0.85 : 0.25;
    if (estimate) this.body.quaternion.copy(estimate);
    this.truth.visible = truth !== null;
    if (truth) this.truth.quaternion.copy(truth);
    const measured = estimate ? motion.field(time, "body")?.applyQuaternion(estimate) : null;
    const directions = [motion.sun(time), motion.field(time, "model"), measured, here?.negate()];
    const isSame = directions[1] && measured && directions[1].angleTo(measured) < SAME_RAD;
    ["x", "y", "z"].forEach((name, rank) => {
      const tip = estimate ? new Vector3().setComponent(rank, 1.12 * AXIS).applyQuaternion(estimate) : null;
      this.label(name, name, tip, `axis-${name}`);
    });
    this.arrows.forEach((arrow, rank) => {
      const to = directions[rank];
      arrow.visible = Boolean(to);
      if (to) arrow.setDirection(to.normalize());
      const [name] = ARROWS[rank], text = rank === 0 && motion.isEclipse(time) ? "Sun, eclipsed" : rank === 1 && isSame ? "field" : name;
      this.label(name, text, to && !(rank === 2 && isSame) ? to.clone().multiplyScalar(1.06 * ARROW) : null);
    });
  }
}
