// The page: one WebSocket, over which sound and wishes go and the avatar's video comes.
"use strict";

const at = id => document.getElementById(id);
const video = at("video");
const PIECE = 16000;                       // samples of a file per message
let socket, player, recording, avatar, microphone = null, sending = 0;

function state(words, wrong = false) {
  at("state").textContent = words;
  at("state").classList.toggle("wrong", wrong);
}

function ask(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// ---- the stream

async function connect() {
  avatar = await (await fetch("avatar")).json();
  at("name").textContent = document.title = avatar.name;
  video.style.setProperty("--shape", `${avatar.size[1]} / ${avatar.size[0]}`);
  fillStyles();
  const address = new URL("live", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let refused = false;
  socket.onmessage = ({data}) => {
    if (typeof data !== "string") {
      if (!recording) recording = new Recording(data);
      else recording.add(data);
      player?.add(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.mime) {
      recording = null;
      try {
        player = new Player(video, message.mime);
        state("Live");
      } catch (error) {
        refused = true;
        state(error.message, true);
      }
    } else if (message.error) {
      refused = /places/.test(message.error);
      state(message.error, true);
    } else if (message.moments) {
      const share = message.left_out / message.moments;
      at("news").textContent = share > 0.02 ? `${Math.round(avatar.fps * (1 - share))} frames a second` : "";
      if (!at("state").classList.contains("wrong")) state(message.waiting > 0.3 ? "Speaking" : microphone ? "Listening" : "Live");
    }
  };
  socket.onclose = () => {
    listen(false);
    if (!refused) state("The connection is lost; trying again", true);
    setTimeout(() => connect().catch(retry), refused ? 10000 : 2000);
  };
}

function retry() {
  state("The server does not answer; trying again", true);
  setTimeout(() => connect().catch(retry), 3000);
}

function hear() {
  video.muted = false;
  at("unmute").hidden = true;
  if (!at("state").classList.contains("wrong")) state("Live");
}

at("unmute").onclick = hear;

// ---- what it says

async function listen(on) {
  if (on === (microphone !== null)) return;
  if (on) {
    const opened = new Microphone();
    try {
      await opened.open((piece, level) => {
        at("level").value = Math.min(1, 4 * level);
        if (socket.readyState === WebSocket.OPEN) socket.send(piece);
      });
    } catch (error) {
      opened.close();
      state(navigator.mediaDevices ? `No microphone: ${error.message}` : "Browsers give a microphone only to https pages and to this machine", true);
      return;
    }
    microphone = opened;
    state("Listening");
  } else {
    microphone.close();
    microphone = null;
  }
  at("level").hidden = !on;
  at("microphone").setAttribute("aria-pressed", String(on));
  at("microphone").querySelector("span").textContent = on ? "Stop listening" : "Speak";
}

at("microphone").onclick = () => { hear(); listen(microphone === null); };

at("text").onsubmit = event => {
  event.preventDefault();
  hear();
  const text = at("say").value.trim();
  if (!text) return;
  ask({do: "say", text});
  at("say").value = "";
};

at("say").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) at("text").requestSubmit(), event.preventDefault();
};

at("file").onchange = async () => {
  const [file] = at("file").files, mine = ++sending;
  at("file").value = "";
  if (!file) return;
  hear();
  try {
    const wave = await samplesOf(file);
    if (wave.length > avatar.limits.seconds * RATE) throw new Error(`it is longer than ${avatar.limits.seconds} s`);
    for (let start = 0, end; start < wave.length && mine === sending; start = end) {
      end = wave.length - start < 2 * PIECE ? wave.length : start + PIECE; // short pieces are those of a microphone
      socket.send(wave.slice(start, end));
    }
  } catch (error) {
    state(`${file.name} cannot be spoken: ${error.message || "it has no sound that this browser reads"}`, true);
  }
};

at("stop").onclick = () => {
  sending++;
  listen(false);
  ask({do: "interrupt"});
  state("Live");
};

// ---- how it says it

const title = name => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

function fillStyles() {
  const select = at("named");
  if (select.options.length > 1) return;
  for (const name of avatar.styles) select.add(new Option(title(name), name));
  select.add(new Option("A random style", "sample"));
  const sliders = at("sliders");
  for (const name of Object.keys(avatar.factors)) {
    const row = document.createElement("div");
    row.className = "slider";
    const input = Object.assign(document.createElement("input"), {type: "range", min: -1, max: 1, step: 0.05, value: 0, id: `factor-${name}`});
    const label = Object.assign(document.createElement("label"), {htmlFor: input.id, textContent: title(name)});
    const value = Object.assign(document.createElement("output"), {textContent: "0.0"});
    value.htmlFor.add(input.id);
    input.dataset.factor = name;
    row.append(label, value, input);
    sliders.append(row);
  }
  at("factors").hidden = !sliders.children.length;
}

let later;
function changeStyle() {
  const factors = {};
  for (const input of document.querySelectorAll("[data-factor]")) {
    input.previousElementSibling.textContent = Number(input.value).toFixed(1);
    if (Number(input.value)) factors[input.dataset.factor] = Number(input.value);
  }
  at("strength-value").textContent = Number(at("strength").value).toFixed(1);
  clearTimeout(later);
  later = setTimeout(() => ask({do: "style", style: at("named").value || null, strength: Number(at("strength").value), factors}), 150);
}

at("style").addEventListener("input", event => { if (event.target.type !== "file") changeStyle(); });
at("reset").onclick = () => {
  for (const input of document.querySelectorAll("[data-factor]")) input.value = 0;
  changeStyle();
};

async function takeClip(file) {
  if (!file) return;
  state(`Reading how ${file.name} talks`);
  const form = new FormData();
  form.append("clip", file);
  try {
    const answer = await fetch("style", {method: "POST", body: form});
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    at("named").add(new Option(file.name, found.name, false, true));
    changeStyle();
    state(found.notes.length ? found.notes[0] : `The avatar talks as ${file.name} does`);
  } catch (error) {
    state(error.message, true);
  }
}

at("clip").onchange = () => { takeClip(at("clip").files[0]); at("clip").value = ""; };
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") takeClip(event.dataTransfer.files[0]);
  });
}

// ---- keeping it

at("record").onclick = () => {
  if (!recording) return;
  const on = recording.parts === null;
  if (on) {
    recording.start();
    at("download").hidden = true;
  } else {
    URL.revokeObjectURL(at("download").href);
    at("download").href = URL.createObjectURL(recording.finish());
    at("download").download = `${avatar.name}.mp4`;
    at("download").hidden = false;
  }
  at("record").setAttribute("aria-pressed", String(on));
  at("record").querySelector("span").textContent = on ? "Stop recording" : "Record";
};

connect().catch(retry);
