// Let an exported avatar's face speak in a browser, without a server that computes: onnxruntime-web alone.
//
//     npm install onnxruntime-web
//     python -m http.server
//
// Both in the folder of the export; then open http://127.0.0.1:8000/example.html.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

const at = id => document.getElementById(id);
const facts = await (await fetch("avatar.json")).json();
ort.env.wasm.numThreads = 1; // more need a page that is isolated from others

const graphs = {};
for (const name of ["audio", "decoder", "face"]) {
  at("state").textContent = `Loading the networks: ${name}`;
  graphs[name] = await ort.InferenceSession.create(facts.graphs[name].file, {executionProviders: ["wasm"]});
}

const floats = (data, shape) => new ort.Tensor("float32", data, shape);
const size = shape => shape.reduce((product, side) => product * side, 1);

class Speaker {
  // Sound to the vertices of a face, one frame after the other.
  constructor() {
    this.sound = new Float32Array(0); // what is still needed of the sound
    this.gone = 0; // samples that are not
    this.ended = false;
    this.rows = []; // audio features of the frames that are not decoded yet
    this.heard = this.decoded = 0; // frames
    this.code = new Float32Array(facts.style_size);
    const {inputs, states} = facts.graphs.decoder;
    this.width = inputs.audio.shape[2];
    this.state = Object.fromEntries(states.map(name => {
      const {shape} = inputs[`state_${name}`];
      return [`state_${name}`, floats(new Float32Array(size(shape)), shape)];
    }));
  }

  hear(samples) {
    const all = new Float32Array(this.sound.length + samples.length);
    all.set(this.sound);
    all.set(samples, this.sound.length);
    this.sound = all;
  }

  get samples() { return this.gone + this.sound.length; }

  // Frames of the sound so far; the last one of a sound that has ended may be shorter.
  get frames() {
    const frames = this.samples / facts.sample_rate * facts.fps;
    return this.ended ? Math.max(1, Math.ceil(frames - 1e-6)) : Math.floor(frames);
  }

  // Features of the next block of frames, from a window of sound around it; false if it needs sound that is still to come.
  async listen() {
    const {frames, lead, samples} = facts.audio;
    const low = Math.round((this.heard - lead) / facts.fps * facts.sample_rate);
    if (this.ended ? this.heard >= this.frames : low + samples > this.samples) return false;
    const start = Math.max(low, this.gone);
    const wave = new Float32Array(samples);
    wave.set(this.sound.slice(start - this.gone, Math.max(low + samples - this.gone, 0)), start - low);
    const {rows} = await graphs.audio.run({wave: floats(wave, [1, samples])});
    for (let row = 0; row < frames; row++) this.rows.push(rows.data.slice(row * this.width, (row + 1) * this.width));
    this.heard += frames;
    const next = Math.round((this.heard - lead) / facts.fps * facts.sample_rate);
    const needless = Math.min(Math.max(next - this.gone, 0), this.sound.length);
    this.sound = this.sound.slice(needless);
    this.gone += needless;
    return true;
  }

  // Vertices (V * 3) of the next frame; null if it needs sound that is still to come, or after the last one.
  async next() {
    const ahead = facts.lookahead;
    while (this.rows.length < 1 + ahead && await this.listen()) ;
    if (this.ended ? this.decoded >= this.frames : this.rows.length < 1 + ahead) return null;
    const audio = new Float32Array((1 + ahead) * this.width), known = new Uint8Array(ahead);
    for (let row = 0; row <= ahead; row++) {
      const there = this.ended ? this.decoded + row < this.frames : true;
      if (row > 0) known[row - 1] = there;
      if (this.rows[row] && there) audio.set(this.rows[row], row * this.width);
    }
    const given = {audio: floats(audio, [1, 1 + ahead, this.width]), code: floats(this.code, [1, this.code.length]), ...this.state};
    if (ahead) given.known = new ort.Tensor("bool", known, [1, ahead]);
    const found = await graphs.decoder.run(given);
    for (const name of facts.graphs.decoder.states) this.state[`state_${name}`] = found[`next_${name}`];
    this.rows.shift();
    this.decoded++;
    return shapeOf(found.expression.data);
  }
}

// Vertices (V * 3) of the face with an expression (E).
async function shapeOf(expression) {
  const {shape} = await graphs.face.run({
    expression: floats(expression, [1, expression.length]),
    played: new ort.Tensor("int64", new BigInt64Array(1), [1]), // the frame of the avatar's footage, from which blinks come
    pose: floats(Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0), [1, 3, 4]), // moves the head, not the shape
  });
  return shape.data;
}

const canvas = at("face"), pen = canvas.getContext("2d");
let frame = null; // what part of the face's space is shown: that of the first face, with some room

// The triangles from back to front, each as bright as it faces the light. x is right, y up, z towards the viewer.
function draw(face) {
  const x = i => face[3 * i], y = i => face[3 * i + 1], z = i => face[3 * i + 2];
  if (frame === null) {
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let i = 0; i < face.length / 3; i++) [x(i), y(i)].forEach((value, axis) => {
      low[axis] = Math.min(low[axis], value);
      high[axis] = Math.max(high[axis], value);
    });
    frame = {middle: low.map((value, axis) => (value + high[axis]) / 2), side: 1.15 * Math.max(high[0] - low[0], high[1] - low[1])};
  }
  const across = i => canvas.width * ((x(i) - frame.middle[0]) / frame.side + 0.5);
  const down = i => canvas.height * (0.5 - (y(i) - frame.middle[1]) / frame.side);
  const depth = ([a, b, c]) => z(a) + z(b) + z(c);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const [a, b, c] of [...facts.triangles].sort((one, other) => depth(one) - depth(other))) {
    const u = [x(b) - x(a), y(b) - y(a), z(b) - z(a)], v = [x(c) - x(a), y(c) - y(a), z(c) - z(a)];
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const light = Math.abs(0.2 * normal[0] + 0.5 * normal[1] + 0.85 * normal[2]) / (Math.hypot(...normal) || 1);
    pen.fillStyle = pen.strokeStyle = `hsl(24 40% ${15 + 55 * light}%)`;
    pen.beginPath();
    [a, b, c].forEach(i => pen.lineTo(across(i), down(i)));
    pen.closePath();
    pen.fill();
    pen.stroke();
  }
  canvas.dispatchEvent(new CustomEvent("drawn", {detail: face}));
}

// The code of the chosen style, with the factors added; without a style they start from the middle of all styles.
function chosen() {
  const sliders = [...at("factors").querySelectorAll("input")].filter(({value}) => Number(value) !== 0);
  const named = at("style").value ? facts.styles[at("style").value].code : sliders.length ? facts.middle : null;
  const code = Float32Array.from(named ?? new Array(facts.style_size).fill(0));
  for (const {name, value} of sliders) facts.factors[name].forEach((own, i) => { code[i] += value * own; });
  return code;
}

const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Draw what the speaker says until it has ended: of a file each frame in its time, of the microphone a little faster than
// they come, so that those of a block do not come all at once and none waits for long.
async function perform(speaker, {file}) {
  const period = 1000 / facts.fps;
  let computing = 0, due = performance.now();
  while (speaker === current) {
    speaker.code = chosen();
    const start = performance.now(), face = await speaker.next();
    computing += performance.now() - start;
    if (face === null) {
      if (speaker.ended) break;
      await wait(5);
      continue;
    }
    await wait(due - performance.now());
    draw(face);
    due = file ? due + period : Math.max(due, performance.now()) + 0.9 * period;
    if (speaker.decoded % Math.round(facts.fps) === 0)
      at("state").textContent = `${(computing / speaker.decoded).toFixed(0)} ms for a frame; at most ${period} is live`;
  }
}

let current = null, microphone = null;

async function hush() {
  current = null;
  microphone?.stream.getTracks().forEach(track => track.stop());
  await microphone?.context.close();
  microphone = null;
  at("microphone").textContent = "Listen";
}

at("microphone").onclick = async () => {
  const listening = microphone !== null;
  await hush();
  if (listening) return;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({audio: {channelCount: 1}});
    const context = new AudioContext();
    microphone = {stream, context};
    await context.audioWorklet.addModule("example_microphone.js");
    const node = new AudioWorkletNode(context, "microphone", {numberOfOutputs: 0, processorOptions: {rate: facts.sample_rate}});
    const speaker = current = new Speaker();
    node.port.onmessage = ({data}) => speaker.hear(data);
    context.createMediaStreamSource(stream).connect(node);
    at("microphone").textContent = "Stop";
    await perform(speaker, {file: false});
  } catch (error) {
    await hush();
    at("state").textContent = `No microphone: ${error.message}`;
  }
};

at("file").onchange = async ({target}) => {
  await hush();
  if (!target.files.length) return;
  try {
    const mono = new OfflineAudioContext(1, 1, facts.sample_rate);
    const sound = await mono.decodeAudioData(await target.files[0].arrayBuffer());
    const wave = new Float32Array(sound.length);
    for (let channel = 0; channel < sound.numberOfChannels; channel++)
      sound.getChannelData(channel).forEach((value, i) => { wave[i] += value / sound.numberOfChannels; });
    const speaker = current = new Speaker(), context = new AudioContext(), source = context.createBufferSource();
    speaker.hear(wave);
    speaker.ended = true;
    source.buffer = sound;
    source.connect(context.destination);
    source.start();
    await perform(speaker, {file: true});
    await context.close();
    at("state").textContent = `${speaker.decoded} frames`;
  } catch (error) {
    at("state").textContent = `${target.files[0].name}: ${error.message}`;
  }
};

for (const name of Object.keys(facts.styles)) at("style").append(new Option(name, name));
at("named").hidden = Object.keys(facts.styles).length === 0;
for (const name of Object.keys(facts.factors)) {
  const label = document.createElement("label"), slider = Object.assign(document.createElement("input"), {type: "range", min: -1, max: 1, step: 0.1, value: 0, name});
  label.append(`${name} `, slider);
  at("factors").append(label);
}
draw(await shapeOf(new Float32Array(facts.graphs.face.inputs.expression.shape[1])));
at("state").textContent = "Ready";
at("microphone").disabled = at("file").disabled = false;
