// The Earth with coastline and shadow, orbit and ground track around the time, satellite and Sun.

import { countUntil } from "./cursor.js";
import { along, roleOf } from "./orbit.js";
import { View } from "./stage.js";
import { css, number } from "./theme.js";

const { BufferAttribute, BufferGeometry, CanvasTexture, Color, Group, LinearFilter, LineBasicMaterial, LineSegments, Mesh, Points, PointsMaterial, ShaderMaterial, SphereGeometry, Vector3 } = globalThis.THREE ?? {};
const EARTH_M = 6371000, AROUND_MS = 5700000, STEP_RAD = 0.06, GAP_MS = 300000, PATH_MS = 10000, GROWN_MS = 10000, TEXTURE_PX = 2048, GRID_DEG = 30, APART = 0.15;

const SURFACE = {
  vertexShader: "varying vec2 place; varying vec3 up; void main() { place = uv; up = normalize(mat3(modelMatrix) * normal); gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }",
  fragmentShader: "uniform sampler2D map; uniform vec3 sun; uniform vec3 night; varying vec2 place; varying vec3 up; void main() { vec3 day = texture2D(map, place).rgb; float lit = smoothstep(-0.06, 0.06, dot(normalize(up), sun)); gl_FragColor = vec4(mix(day * night, day, lit), 1.0); }",
};

// Map of the Earth from -180 to 180 and 90 to -90 degrees; rings are lists of [longitude, latitude].
function drawMap(canvas, rings) {
  const pen = canvas.getContext("2d"), { width, height } = canvas;
  const x = longitude => (longitude + 180) / 360 * width, y = latitude => (90 - latitude) / 180 * height;
  pen.fillStyle = css("--sea");
  pen.fillRect(0, 0, width, height);
  pen.beginPath();
  for (const ring of rings) ring.forEach(([longitude, latitude], rank) => pen[rank ? "lineTo" : "moveTo"](x(longitude), y(latitude)));
  pen.fillStyle = css("--land");
  pen.fill("evenodd");
  pen.strokeStyle = css("--coast");
  pen.lineWidth = width / 1400;
  pen.stroke();
  pen.globalAlpha = 0.35;
  pen.beginPath();
  for (let degrees = -180; degrees < 180; degrees += GRID_DEG) { pen.moveTo(x(degrees), 0); pen.lineTo(x(degrees), height); }
  for (let degrees = -60; degrees <= 60; degrees += GRID_DEG) { pen.moveTo(0, y(degrees)); pen.lineTo(width, y(degrees)); }
  pen.stroke();
  pen.globalAlpha = 1;
}

// Points of segments between positions, cut so finely that no chord comes near the ground, with the time of each end.
// Of rows that are closer than ten seconds, one is enough.
function segments(motion) {
  const { orbit } = motion.tables, points = [], ends = [];
  if (!orbit) return { points, ends };
  let before = null, last = 0;
  for (let row = 0; row < orbit.time.length; row++) {
    if (before && row < orbit.time.length - 1 && orbit.time[row] - orbit.time[last] < PATH_MS) continue;
    const here = new Vector3(orbit.x[row], orbit.y[row], orbit.z[row]);
    const isKnown = Number.isFinite(here.x);
    if (isKnown && before && orbit.time[row] - orbit.time[last] <= GAP_MS) {
      const count = Math.max(1, Math.ceil(before.angleTo(here) / STEP_RAD));
      for (let part = 0; part < count; part++) {
        for (const share of [part / count, (part + 1) / count]) {
          const time = orbit.time[last] + share * (orbit.time[row] - orbit.time[last]);
          points.push(along(before, here, share), time);
        }
        ends.push(points.at(-1));
      }
    }
    before = isKnown ? here : null;
    last = row;
  }
  return { points, ends };
}

export class Globe extends View {
  constructor(node, motion, rings, onChange) {
    super(node, { azimuth: 0.6, elevation: 0.4, distance: 4.6, range: [2.2, 12] }, onChange);
    Object.assign(this, { motion, rings });
    this.makeEarth();
    this.makePaths();
    this.satellite = this.dot(9);
    this.foot = this.dot(5);
    this.makePartners();
    this.paint();
    this.lookAtOrbit();
  }

  // Begin beside the orbit on its sunlit side, so that the Earth does not hide the satellite.
  lookAtOrbit() {
    const { orbit } = this.motion.tables, time = orbit.time.find(each => this.motion.axes(each));
    if (time === undefined) {
      const at = this.motion.position(orbit.time.find(each => this.motion.position(each)) ?? NaN);
      if (at) this.place(Math.atan2(at.y, at.x) + 0.4, Math.asin(at.z / at.length()), this.distance);
      return;
    }
    const radial = new Vector3(), normal = new Vector3();
    this.motion.axes(time).extractBasis(radial, new Vector3(), normal);
    const side = normal.multiplyScalar(normal.dot(this.motion.sun(time)) < 0 ? -1 : 1).addScaledVector(radial, 0.2).normalize();
    this.place(Math.atan2(side.y, side.x), Math.asin(side.z) + 0.1, this.distance);
  }

  makeEarth() {
    this.map = Object.assign(document.createElement("canvas"), { width: TEXTURE_PX, height: TEXTURE_PX / 2 });
    this.texture = new CanvasTexture(this.map);
    Object.assign(this.texture, { generateMipmaps: false, minFilter: LinearFilter });
    const uniforms = { map: { value: this.texture }, sun: { value: new Vector3(1, 0, 0) }, night: { value: new Color() } };
    this.surface = new ShaderMaterial({ ...SURFACE, uniforms });
    const sphere = new Mesh(new SphereGeometry(1, 48, 24), this.surface);
    sphere.rotation.x = Math.PI / 2; // its poles are on the y axis
    this.earth = new Group();
    this.earth.matrixAutoUpdate = false;
    this.earth.add(sphere);
    this.scene.add(this.earth);
  }

  // Draw the paths on, now and then: the last seconds are hidden by the satellite.
  grow() {
    const newest = this.motion.tables.orbit.time.at(-1);
    if (newest - (this.ends.at(-1) ?? -Infinity) < GROWN_MS) return;
    for (const line of [...this.past, ...this.future]) {
      line.removeFromParent();
      line.geometry.dispose();
      line.material.dispose();
    }
    this.makePaths();
    this.paintPaths();
  }

  makePaths() {
    const { points, ends } = segments(this.motion), count = points.length / 2;
    const orbit = new Float32Array(3 * count), track = new Float32Array(3 * count);
    for (let rank = 0; rank < count; rank++) {
      const at = points[2 * rank];
      at.clone().divideScalar(EARTH_M).toArray(orbit, 3 * rank);
      const inertial = this.motion.gcrfFromItrf(points[2 * rank + 1]).transpose();
      at.clone().normalize().multiplyScalar(1.004).applyMatrix4(inertial).toArray(track, 3 * rank);
    }
    this.ends = Float64Array.from(ends);
    const made = (values, opacity, parent) => {
      const geometry = new BufferGeometry().setAttribute("position", values);
      const line = new LineSegments(geometry, new LineBasicMaterial({ transparent: opacity < 1, opacity }));
      line.frustumCulled = false;
      parent.add(line);
      return line;
    };
    const [ofOrbit, ofTrack] = [orbit, track].map(values => new BufferAttribute(values, 3));
    this.past = [made(ofOrbit, 1, this.scene), made(ofTrack, 0.9, this.earth)];
    this.future = [made(ofOrbit, 0.4, this.scene), made(ofTrack, 0.35, this.earth)];
  }

  // Partners near the satellite are drawn apart from it, by a factor that the title has.
  makePartners() {
    this.factor = Math.max(1, APART * EARTH_M / this.motion.reach());
    this.partners = this.motion.about.partners.map(of => ({ of, dot: this.dot(6) }));
    const isApart = this.partners.length && this.factor > 1;
    this.node.querySelector(".title").textContent = isApart ? `Orbit; distances to partners ×${number(this.factor, 2)}` : "Orbit";
  }

  updatePartners(time, here) {
    const axes = here ? this.motion.axes(time) : null;
    for (const { of, dot } of this.partners) {
      const state = axes ? this.motion.partner(of, time) : null;
      dot.visible = state !== null;
      if (state) {
        dot.position.copy(state.position).applyMatrix4(axes).multiplyScalar(this.factor / EARTH_M).add(this.satellite.position);
        dot.material.color.set(css(roleOf(state)));
      }
      this.label(`partner ${of.id}`, String(of.id), state && !this.isHidden(dot.position) ? dot.position : null);
    }
  }

  dot(size) {
    const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(new Float32Array(3), 3));
    const dot = new Points(geometry, new PointsMaterial({ size: size * Math.min(1.5, devicePixelRatio), sizeAttenuation: false }));
    dot.frustumCulled = false;
    this.scene.add(dot);
    return dot;
  }

  paint() {
    drawMap(this.map, this.rings);
    this.texture.needsUpdate = true;
    this.surface.uniforms.night.value.set(0.42, 0.46, 0.56);
    this.paintPaths();
    this.satellite.material.color.set(css("--ink"));
    this.foot.material.color.set(css("--smoother"));
  }

  paintPaths() {
    for (const [lines, name] of [[[this.past[0], this.future[0]], "--filter"], [[this.past[1], this.future[1]], "--smoother"]]) {
      for (const line of lines) line.material.color.set(css(name));
    }
  }

  update(time) {
    this.earth.matrix.copy(this.motion.gcrfFromItrf(time));
    this.surface.uniforms.sun.value.copy(this.motion.sun(time));
    const [first, now, last] = [time - AROUND_MS, time, time + AROUND_MS].map(each => countUntil(this.ends, each));
    for (const line of this.past) line.geometry.setDrawRange(2 * first, 2 * (now - first));
    for (const line of this.future) line.geometry.setDrawRange(2 * now, 2 * (last - now));
    const here = this.motion.position(time);
    this.satellite.visible = this.foot.visible = here !== null;
    if (here) {
      this.satellite.position.copy(here).divideScalar(EARTH_M);
      this.foot.position.copy(here).normalize().multiplyScalar(1.005);
    }
    this.updatePartners(time, here);
    this.label("satellite", "satellite", here && this.isHidden(this.satellite.position) ? null : here && this.satellite.position);
  }

  // True if the Earth hides a point.
  isHidden(point) {
    const to = point.clone().sub(this.camera.position), length = to.length();
    const near = -this.camera.position.dot(to) / length;
    return near < length && near > 0 && this.camera.position.lengthSq() - near * near < 1;
  }
}
