// Partners along the axes of our orbit: covariance ellipsoids, and ranges as links, dashed where ambiguous.

import { countUntil } from "./cursor.js";
import { cholesky, roleOf } from "./orbit.js";
import { View } from "./stage.js";
import { css, number } from "./theme.js";

const { ArrowHelper, BufferGeometry, Group, Line, LineBasicMaterial, LineDashedMaterial, Matrix4, Mesh, MeshBasicMaterial, SphereGeometry, Vector3 } = globalThis.THREE ?? {};
const DOT = 0.035, AXIS = 0.4, SIGMAS = 3, NAMES = ["R", "T", "N"], LINKED_MS = 300000;

export class Formation extends View {
  constructor(node, motion, onChange) {
    super(node, { azimuth: -1.1, elevation: 0.4, distance: 3.8, range: [0.4, 40] }, onChange);
    this.motion = motion;
    this.scale = 1 / motion.reach();
    this.own = new Mesh(new SphereGeometry(DOT, 16, 12), new MeshBasicMaterial());
    this.axes = NAMES.map((_, rank) => new ArrowHelper(new Vector3().setComponent(rank, 1), new Vector3(), AXIS, 0x888888, 0.07, 0.04));
    this.scene.add(this.own, ...this.axes);
    this.partners = motion.about.partners.map(of => this.make(of));
    this.paint();
  }

  make(of) {
    const ends = () => new BufferGeometry().setFromPoints([new Vector3(), new Vector3(1, 0, 0)]);
    const found = {
      of,
      dot: new Mesh(new SphereGeometry(DOT, 16, 12), new MeshBasicMaterial()),
      mirror: new Mesh(new SphereGeometry(DOT * 0.8, 16, 12), new MeshBasicMaterial({ wireframe: true })),
      truth: new Mesh(new SphereGeometry(DOT * 1.8, 10, 6), new MeshBasicMaterial({ wireframe: true, transparent: true, opacity: 0.3 })),
      ellipsoid: new Mesh(new SphereGeometry(1, 20, 14), new MeshBasicMaterial({ transparent: true, opacity: 0.22, depthWrite: false })),
      link: new Line(ends(), new LineBasicMaterial()),
      dashed: new Line(ends(), new LineDashedMaterial({ dashSize: 0.06, gapSize: 0.05 })),
      mirrorLink: new Line(ends(), new LineDashedMaterial({ dashSize: 0.06, gapSize: 0.05 })),
    };
    found.ellipsoid.matrixAutoUpdate = false;
    found.group = new Group();
    for (const part of Object.values(found)) if (part.isObject3D && part !== found.group) { part.frustumCulled = false; found.group.add(part); }
    this.scene.add(found.group);
    return found;
  }

  paint() {
    this.own.material.color.set(css("--ink"));
    for (const arrow of this.axes) arrow.setColor(css("--muted"));
    for (const { mirror, truth, mirrorLink } of this.partners) {
      mirror.material.color.set(css("--mirror"));
      mirrorLink.material.color.set(css("--mirror"));
      truth.material.color.set(css("--ink"));
    }
  }

  // True if a range was measured within some minutes of the time.
  isRanged({ ranges }, time) {
    const times = this.motion.tables[ranges]?.time;
    if (!times) return false;
    const row = countUntil(times, time) - 1;
    return [row, row + 1].some(each => Math.abs(times[each] - time) <= LINKED_MS);
  }

  update(time) {
    NAMES.forEach((name, rank) => this.label(name, name, new Vector3().setComponent(rank, 1.15 * AXIS), "faint"));
    for (const each of this.partners) this.updatePartner(each, time);
  }

  updatePartner(each, time) {
    const state = this.motion.partner(each.of, time), name = `partner ${each.of.id}`;
    each.group.visible = state !== null;
    if (!state) { this.label(name, "", null); return; }
    const { position, isAmbiguous, isStale } = state, at = position.clone().multiplyScalar(this.scale);
    const role = roleOf(state);
    each.dot.position.copy(at);
    for (const part of [each.dot, each.ellipsoid, each.link, each.dashed]) part.material.color.set(css(role));
    this.set(each.mirror, isAmbiguous ? state.mirror : null);
    this.set(each.truth, state.truth);
    const root = cholesky(state.covariance);
    each.ellipsoid.visible = root !== null;
    if (root) {
      const [a, b, c, d, e, f] = root.map(value => value * SIGMAS * this.scale);
      each.ellipsoid.matrix.copy(new Matrix4().set(a, 0, 0, at.x, b, d, 0, at.y, c, e, f, at.z, 0, 0, 0, 1));
      each.ellipsoid.matrixWorldNeedsUpdate = true;
    }
    const isRanged = this.isRanged(each.of, time);
    this.join(each.link, isRanged && !isAmbiguous ? at : null);
    this.join(each.dashed, isRanged && isAmbiguous ? at : null);
    this.join(each.mirrorLink, isRanged && isAmbiguous && state.mirror ? state.mirror.clone().multiplyScalar(this.scale) : null);
    this.label(name, `${each.of.id}: ${number(position.length())} m${isStale ? ", stale" : isAmbiguous ? ", ambiguous" : ""}`, at);
  }

  set(part, position) {
    part.visible = Boolean(position);
    if (position) part.position.copy(position).multiplyScalar(this.scale);
  }

  join(line, to) {
    line.visible = Boolean(to);
    if (!to) return;
    const ends = line.geometry.attributes.position;
    ends.setXYZ(1, to.x, to.y, to.z);
    ends.needsUpdate = true;
    if (line.material.isLineDashedMaterial) line.computeLineDistances();
  }
}
